package sandbox

import (
	"encoding/json"
	"hash/maphash"
	"net/http"
	"strconv"
	"strings"

	"lastcall/domain"
)

// inbox is every message accepted since it was last emptied, and the counts of them. The journal's lock
// guards the counts, so that they always tell of exactly the messages in it.
type inbox struct {
	journal *journal
	counts  counts
}

// openInbox opens the journal at path and counts what it holds.
func openInbox(path string) (*inbox, error) {
	in := &inbox{counts: newCounts()}
	journal, err := openJournal(path, func(line []byte) error {
		var m struct {
			To           string `json:"to"`
			Template     string `json:"template"`
			CallbackData string `json:"key"`
		}
		if err := json.Unmarshal(line, &m); err != nil {
			return err
		}
		in.counts.add(m.To, m.Template, m.CallbackData)
		return nil
	})
	if err != nil {
		return nil, err
	}
	in.journal = journal
	return in, nil
}

func (in *inbox) add(m message) error {
	object, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return in.journal.append(object, func() { in.counts.add(m.To, m.Template, m.CallbackData) })
}

func (in *inbox) stats() stats {
	in.journal.mu.Lock()
	defer in.journal.mu.Unlock()
	return in.counts.stats
}

// empty deletes messages and counts. Statuses not reported yet are forgotten with their messages.
func (in *inbox) empty() error {
	return in.journal.reset(func() { in.counts = newCounts() })
}

type stats struct {
	Received         int64 `json:"received"`
	UniqueRecipients int64 `json:"unique_recipients"`
	Duplicates       int64 `json:"duplicates"` // the recipient already got one for the same target
}

// counts remembers recipients exactly (a number fits in a word) and targets by 128 bits of hash: a
// million messages take some 60 MB.
type counts struct {
	stats
	recipients map[uint64]struct{}
	targets    map[[2]uint64]struct{}
	seeds      [2]maphash.Seed
	target     []byte
}

func newCounts() counts {
	return counts{
		recipients: map[uint64]struct{}{},
		targets:    map[[2]uint64]struct{}{},
		seeds:      [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
	}
}

// add counts one message. A target is the recipient with the attempt key up to its last "/" (which the
// attempts share), or with the template where there is no key.
func (c *counts) add(to, template, key string) {
	digits := strings.TrimPrefix(to, "+")
	number := word(digits)
	c.target = append(c.target[:0], digits...)
	if key == "" {
		c.target = append(append(c.target, 't'), template...)
	} else {
		if slash := strings.LastIndexByte(key, '/'); slash >= 0 {
			key = key[:slash]
		}
		c.target = append(append(c.target, 'k'), key...)
	}
	target := [2]uint64{maphash.Bytes(c.seeds[0], c.target), maphash.Bytes(c.seeds[1], c.target)}

	c.Received++
	c.recipients[number] = struct{}{}
	c.UniqueRecipients = int64(len(c.recipients))
	c.targets[target] = struct{}{}
	c.Duplicates = c.Received - int64(len(c.targets))
}

// word packs the digits of a number.
func word(digits string) uint64 {
	number := uint64(1) // keeps leading zeros apart; 15 digits and this one fit
	for i := range len(digits) {
		number = number*10 + uint64(digits[i]-'0')
	}
	return number
}

func (s *Server) getStats(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.inbox.stats())
}

func (s *Server) deleteInbox(w http.ResponseWriter, _ *http.Request) {
	if err := s.inbox.empty(); err != nil {
		s.writeError(w, err)
		return
	}
	s.limits.forget()
	w.WriteHeader(http.StatusNoContent)
}

// list serves a journal, oldest first: ?after=ID (default 0) and ?limit=N (default all).
func (s *Server) list(journal *journal) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		after, err := queryNumber(r, "after", 0)
		if err != nil {
			s.writeError(w, err)
			return
		}
		limit, err := queryNumber(r, "limit", -1)
		if err != nil {
			s.writeError(w, err)
			return
		}
		lines, err := journal.after(after, int(limit))
		if err != nil {
			s.writeError(w, err)
			return
		}
		defer lines.Close()
		w.Header()["Content-Type"] = jsonType
		_ = lines.writeArray(w) // too late for another answer
	}
}

func queryNumber(r *http.Request, name string, otherwise int64) (int64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, domain.E(domain.Invalid, "not_a_number", "This must be a whole number, 0 or more.").About(name)
	}
	return n, nil
}
