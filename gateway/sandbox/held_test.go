package sandbox

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

const onlySent = `"sent_delay_ms":0,"delivered":0,"read":0`

// sendMany returns the ids of n messages.
func (w world) sendMany(n int) []string {
	w.t.Helper()
	var ids []string
	for i := range n {
		ids = append(ids, w.send(fmt.Sprintf("+250788%06d", i), fmt.Sprintf("c/%d/1", i)))
	}
	return ids
}

func TestWebhooksTwice(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	w := start(t, Config{WebhookURL: r.url})
	w.set(`{` + onlySent + `,"webhook_twice":1}`)
	ids := w.sendMany(300)
	got := r.wait(t, "sent", 600)
	require.Len(t, got, 600)
	for _, id := range ids {
		first := slices.Index(got, id)
		require.Contains(t, got[first+1:], id)
	}
	require.LessOrEqual(t, r.largest, maxStatuses)
	require.Greater(t, r.posts, 2, "the second time is another webhook")

	w.set(`{"webhook_twice":0}`)
	last := w.send("+250788999999", "k")
	require.Equal(t, last, r.wait(t, "sent", 601)[600])
}

func TestWebhooksReordered(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	w := start(t, Config{WebhookURL: r.url})
	w.set(`{` + onlySent + `,"webhook_reordered":1,"webhook_window_ms":400}`)
	ids := w.sendMany(300)
	ended := time.Now()
	got := r.wait(t, "sent", 300)
	require.ElementsMatch(t, ids, got, "each once")
	require.NotEqual(t, ids, got)
	require.Less(t, time.Since(ended), 5*time.Second)
	overtaken := 0
	for i := range got[1:] {
		if slices.Index(ids, got[i]) > slices.Index(ids, got[i+1]) {
			overtaken++
		}
	}
	require.Greater(t, overtaken, 50)
}

func TestWebhooksDelayed(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	w := start(t, Config{WebhookURL: r.url})
	w.set(`{` + onlySent + `,"webhook_delayed":0.5,"webhook_delay_ms":600}`)
	var ids, late, prompt []string
	var newest time.Time // when the last late one was sent, at the earliest
	for i := range 200 {
		before := time.Now()
		id := w.send(fmt.Sprintf("+250788%06d", i), "")
		ids = append(ids, id)
		if lot("delayed", id, "sent") < 0.5 {
			late, newest = append(late, id), before
		} else {
			prompt = append(prompt, id)
		}
	}
	require.InDelta(t, 100, len(late), 40)
	got := r.wait(t, "sent", 200)
	require.GreaterOrEqual(t, time.Since(newest), 599*time.Millisecond)
	require.ElementsMatch(t, ids, got)
	isLate := func(id string) bool { return slices.Contains(late, id) }
	require.Equal(t, prompt, slices.DeleteFunc(slices.Clone(got), isLate), "the others in order")
	require.Equal(t, late, slices.DeleteFunc(slices.Clone(got), func(id string) bool { return !isLate(id) }))
}

// A held status is not lost: neither by a restart, nor by settings that change, but it goes with its message.
func TestHeldWebhooksAreKept(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	w := start(t, Config{WebhookURL: r.url})
	w.set(`{` + onlySent + `,"webhook_delayed":0.5,"webhook_delay_ms":86400000}`)
	all, prompt, heldFrom := w.holdSome()
	require.Equal(t, prompt, r.wait(t, "sent", len(prompt)))
	w.set(`{"webhook_delayed":0}`)
	after := w.send("+250788999999", "")
	all, prompt = append(all, after), append(prompt, after)
	require.Equal(t, prompt, r.wait(t, "sent", len(prompt)))
	w.stop()

	again := start(t, Config{Dir: w.config.Dir, WebhookURL: r.url})
	told := append(prompt, all[heldFrom:]...)
	require.Equal(t, told, r.wait(t, "sent", len(told)), "from the first held one on, again")
	n := len(told)

	again.set(`{"webhook_delayed":0.5,"webhook_delay_ms":1000}`)
	_, prompt, _ = again.holdSome()
	n += len(prompt)
	r.wait(t, "sent", n)
	status, _ := again.do(http.MethodDelete, "/inbox", "")
	require.Equal(t, http.StatusNoContent, status)
	again.set(`{"webhook_delayed":1}`)
	last := again.send("+250788999999", "")
	require.Equal(t, last, r.wait(t, "sent", n+1)[n], "later than the deleted ones would have come")
}

// holdSome sends messages until one is held and the newest is not; once that is told, the others are held
// for sure. It returns all, those not held, and where in all the first held one is.
func (w world) holdSome() (all, prompt []string, heldFrom int) {
	w.t.Helper()
	isHeld := func(id string) bool { return lot("delayed", id, "sent") < 0.5 }
	for len(all) == 0 || isHeld(all[len(all)-1]) || !slices.ContainsFunc(all, isHeld) {
		id := w.send(fmt.Sprintf("+250788%06d", len(all)), "")
		all = append(all, id)
		if !isHeld(id) {
			prompt = append(prompt, id)
		}
	}
	return all, prompt, slices.IndexFunc(all, isHeld)
}

// A stage sleeps until the first of what it waits for.
func TestStageSleep(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		due, held     time.Duration
		arrival, want time.Duration // 0: no arrival
	}{
		"next message":                       {due: time.Second, want: time.Second},
		"held status":                        {held: time.Second, want: time.Second},
		"held before message":                {due: time.Hour, held: time.Second, want: time.Second},
		"message before held":                {due: time.Second, held: time.Hour, want: time.Second},
		"arrival before held":                {held: time.Hour, arrival: time.Second, want: time.Second},
		"arrival":                            {arrival: time.Second, want: time.Second},
		"an arrival is due after the others": {due: time.Minute, arrival: time.Second, want: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := stage{wake: make(chan struct{}, 1)}
				if c.arrival > 0 {
					time.AfterFunc(c.arrival, func() { s.wake <- struct{}{} })
				}
				began := time.Now()
				s.sleep(t.Context(), c.due, c.held, nil)
				require.Equal(t, c.want, time.Since(began))
			})
		})
	}
}

func TestHeld(t *testing.T) {
	t.Parallel()
	var h held
	now := time.Now()
	require.EqualValues(t, 7, h.before(7))
	require.Zero(t, h.wait(now))
	for _, one := range []struct{ id, after int64 }{{3, 5}, {3, 1}, {5, 2}, {8, 3}} {
		h.push(heldStatus{id: one.id, due: now.Add(time.Duration(one.after))})
	}
	require.EqualValues(t, 1, h.wait(now))
	require.EqualValues(t, 1, h.wait(now.Add(time.Hour)), "due already is not none")
	_, ok := h.pop(now)
	require.False(t, ok)
	var ids, before []int64
	for i := range 4 {
		one, ok := h.pop(now.Add(time.Duration([]int64{1, 2, 3, 5}[i])))
		require.True(t, ok)
		ids, before = append(ids, one.id), append(before, h.before(9))
	}
	require.Equal(t, []int64{3, 5, 8, 3}, ids)
	require.Equal(t, []int64{2, 2, 2, 9}, before)
}
