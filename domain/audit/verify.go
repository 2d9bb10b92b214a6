package audit

import "fmt"

// What may be wrong with a chain.
const (
	Edited       = "edited"        // a row says something else than when it was sealed
	Deleted      = "deleted"       // rows in the middle, or at the beginning, are gone
	Inserted     = "inserted"      // a row is there that was never sealed
	Truncated    = "truncated"     // the newest rows are gone
	Rewritten    = "rewritten"     // the chain is whole, but it is not the one that a checkpoint saw
	BadSignature = "bad_signature" // a checkpoint or the anchor is not signed by a key that is known
)

// Verdict is what verifying found. Unsealed rows are not protected yet: sealing takes up to two seconds.
type Verdict struct {
	Rows        int64  `json:"rows" doc:"Rows that are there, sealed or not"`
	Sealed      int64  `json:"sealed" doc:"Sealed rows that were found to be right"`
	Unsealed    int64  `json:"unsealed" doc:"Rows younger than the last seal, 2 s at most: not protected yet"`
	OK          bool   `json:"ok"`
	FirstBadSeq *int64 `json:"first_bad_seq" doc:"Where it is broken first; null: nowhere"`
	Kind        string `json:"kind" enum:",edited,deleted,inserted,truncated,rewritten,bad_signature" doc:"What is wrong; empty: nothing"`
	Detail      string `json:"detail" doc:"The same for people"`
	From        int64  `json:"from" doc:"The first seq looked at"`
	To          int64  `json:"to" doc:"The last seq found to be right"`
	Checkpoints int    `json:"checkpoints" doc:"Signed checkpoints that the chain agrees with"`
	KeyKnown    bool   `json:"key_known" doc:"Whether signatures were held against a key from outside the database"`
}

// Head is the end of a chain as somebody noted it.
type Head struct {
	Seq  int64
	Hash Hash
}

// Verifier follows a chain row by row and says where it breaks first. It holds three rows' hashes, however long the
// chain is.
type Verifier struct {
	checkpoints []Checkpoint // by size, those ahead
	before      Hash         // of the row before last
	last        Head         // the last row that is right
	from        int64
	sealed      int64
	agreed      int   // checkpoints passed
	confirmed   int64 // the size of the last of them
	suspect     *Row
	verdict     *Verdict
}

// NewVerifier starts behind start: the zero Head for the beginning. checkpoints are sorted by size and their
// signatures are good.
func NewVerifier(start Head, checkpoints []Checkpoint) *Verifier {
	v := &Verifier{last: start, from: start.Seq + 1, confirmed: start.Seq}
	for _, c := range checkpoints {
		if c.Size >= v.from {
			v.checkpoints = append(v.checkpoints, c)
		}
	}
	return v
}

// Next takes the next row, in the order of seq, and reports whether there is any use in going on.
func (v *Verifier) Next(r *Row) bool {
	if v.verdict != nil {
		return false
	}
	if v.suspect != nil {
		v.decide(r)
		return false
	}
	want := v.last.Seq + 1
	if r.Seq > want {
		v.broken(want, Deleted, "the rows from seq %d to %d are gone", want, r.Seq-1)
		return false
	}
	if r.Seq < want {
		v.broken(r.Seq, Inserted, "there are two rows with seq %d", r.Seq)
		return false
	}
	sum, err := r.Sum(r.PrevHash)
	switch fits := r.PrevHash == v.last.Hash; {
	case err != nil || sum != r.Hash:
		suspect := *r
		v.suspect = &suspect // the next row tells what happened to this one
		return true
	case !fits && r.PrevHash == v.before && v.last.Seq >= v.from:
		v.broken(v.last.Seq, Inserted, "the row with seq %d was put between two that were sealed one after the other", v.last.Seq)
		return false
	case !fits && v.last.Seq >= v.from:
		v.broken(v.last.Seq, Edited, "the row with seq %d is not the one that the next row was sealed upon", v.last.Seq)
		return false
	case !fits:
		v.broken(r.Seq, Edited, "the row with seq %d was sealed upon another row than the one before it", r.Seq)
		return false
	}
	v.before, v.last = v.last.Hash, Head{r.Seq, r.Hash}
	v.sealed++
	return v.passed()
}

// passed holds the last row against the checkpoints made when it was the newest.
func (v *Verifier) passed() bool {
	for ; len(v.checkpoints) > 0 && v.checkpoints[0].Size == v.last.Seq; v.checkpoints = v.checkpoints[1:] {
		if c := v.checkpoints[0]; c.Head != v.last.Hash {
			v.broken(v.confirmed+1, Rewritten, "the checkpoint of %s saw another row with seq %d: rows from seq %d on may have been rewritten, with their hashes",
				c.CreatedAt.UTC().Format("2006-01-02 15:04:05Z"), c.Size, v.confirmed+1)
			return false
		}
		v.agreed++
		v.confirmed = v.last.Seq
	}
	return true
}

// decide says what happened to the suspect, given the row after it, if there is one.
func (v *Verifier) decide(next *Row) {
	s := v.suspect
	v.suspect = nil
	if next != nil && next.PrevHash == v.last.Hash {
		v.broken(s.Seq, Inserted, "the row with seq %d was put between two that were sealed one after the other", s.Seq)
		return
	}
	if s.PrevHash != v.last.Hash {
		// With the number it was sealed with it may be right: then those before it were taken out and the rest renumbered.
		const enough = 64
		moved := *s
		for range enough {
			moved.Seq++
			if sum, err := moved.Sum(s.PrevHash); err == nil && sum == s.Hash {
				v.broken(s.Seq, Deleted, "the row with seq %d is gone, and those after it were renumbered", s.Seq)
				return
			}
		}
	}
	v.broken(s.Seq, Edited, "the row with seq %d is not as it was sealed", s.Seq)
}

// Finish ends at the end of the chain and returns the verdict, without the counts of rows. head is what the database
// noted as its end.
func (v *Verifier) Finish(head Head) Verdict {
	if s := v.suspect; s != nil && s.Seq > head.Seq {
		v.broken(s.Seq, Inserted, "the row with seq %d was never sealed", s.Seq)
	} else if s != nil {
		v.decide(nil)
	}
	if v.verdict == nil {
		next := v.last.Seq + 1
		switch {
		case len(v.checkpoints) > 0:
			last := v.checkpoints[len(v.checkpoints)-1]
			v.broken(next, Truncated, "the rows from seq %d on are gone: the checkpoint of %s saw rows up to seq %d", next,
				last.CreatedAt.UTC().Format("2006-01-02 15:04:05Z"), last.Size)
		case v.last.Seq < head.Seq:
			v.broken(next, Truncated, "the rows from seq %d on are gone: rows up to seq %d were sealed", next, head.Seq)
		case v.last.Seq > head.Seq:
			v.broken(head.Seq+1, Inserted, "the row with seq %d was never sealed", head.Seq+1)
		case v.last.Hash != head.Hash:
			v.broken(v.last.Seq, Edited, "the row with seq %d is not the one that was sealed last", v.last.Seq)
		}
	}
	return v.Stop()
}

// Stop ends before the end of the chain and returns the verdict on what was seen.
func (v *Verifier) Stop() Verdict {
	if v.suspect != nil {
		v.decide(nil)
	}
	if v.verdict == nil {
		v.verdict = &Verdict{OK: true, Detail: "every row is as it was sealed"}
	}
	v.verdict.From, v.verdict.To, v.verdict.Sealed, v.verdict.Checkpoints = v.from, v.last.Seq, v.sealed, v.agreed
	return *v.verdict
}

func (v *Verifier) broken(seq int64, kind, detail string, args ...any) {
	if v.verdict == nil {
		v.verdict = &Verdict{FirstBadSeq: &seq, Kind: kind, Detail: fmt.Sprintf(detail, args...)}
	}
}
