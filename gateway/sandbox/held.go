package sandbox

import (
	"container/heap"
	"time"
)

// held are statuses that the settings make late, or send again: in memory, so that a stage's cursor on
// disk stays before the first of them, and a restart reports from there.
type held struct {
	due   dueFirst
	open  map[int64]int // how many statuses of a message are held
	order queue[int64]  // the messages as they came, some of them no longer held
}

type heldStatus struct {
	id  int64 // of the message
	due time.Time
	status
}

func (h *held) push(one heldStatus) {
	heap.Push(&h.due, one)
	if h.open == nil {
		h.open = map[int64]int{}
	}
	h.open[one.id]++
	if h.open[one.id] == 1 {
		h.order.push(one.id)
	}
}

// pop returns the next status that is due by now.
func (h *held) pop(now time.Time) (one heldStatus, ok bool) {
	if len(h.due) == 0 || h.due[0].due.After(now) {
		return one, false
	}
	one = heap.Pop(&h.due).(heldStatus)
	if h.open[one.id]--; h.open[one.id] == 0 {
		delete(h.open, one.id)
	}
	return one, true
}

// before returns the last message before the first held one, cursor if none is held.
func (h *held) before(cursor int64) int64 {
	h.order.dropWhile(func(id int64) bool { return h.open[id] == 0 })
	if h.order.len() == 0 {
		return cursor
	}
	return min(cursor, h.order.items[h.order.head]-1)
}

// wait is how long it takes until the next one is due, 0 when there is none.
func (h *held) wait(now time.Time) time.Duration {
	if len(h.due) == 0 {
		return 0
	}
	return max(h.due[0].due.Sub(now), 1)
}

// befall says how late a status is, and whether it comes again, and how much later than it should have come.
func (t webhookTrouble) befall(messageID, state string) (late time.Duration, twice bool, again time.Duration) {
	if t.Twice == 0 && t.Reordered == 0 && t.Delayed == 0 {
		return 0, false, 0
	}
	window := float64(time.Duration(t.WindowMS) * time.Millisecond)
	if lot("reordered", messageID, state) < t.Reordered {
		late += time.Duration(window * lot("by", messageID, state))
	}
	if lot("delayed", messageID, state) < t.Delayed {
		late += time.Duration(t.DelayMS) * time.Millisecond
	}
	return late, lot("twice", messageID, state) < t.Twice, time.Duration(window * lot("again", messageID, state))
}

// dueFirst is a heap of statuses by when they are due.
type dueFirst []heldStatus

func (d dueFirst) Len() int           { return len(d) }
func (d dueFirst) Less(i, j int) bool { return d[i].due.Before(d[j].due) }
func (d dueFirst) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }

// Push is for container/heap.
func (d *dueFirst) Push(one any) { *d = append(*d, one.(heldStatus)) }

// Pop is for container/heap.
func (d *dueFirst) Pop() any {
	last := len(*d) - 1
	one := (*d)[last]
	(*d)[last] = heldStatus{}
	*d = (*d)[:last]
	return one
}
