// Package runbook reads what to do when something is wrong: a short text with steps that can be ticked, some of which Lastcall
// can do itself.
package runbook

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"lastcall/domain"
)

// Runbook is one file of config/runbooks.
type Runbook struct {
	Name   string // of its file: "messaging-failures"
	Title  string
	Lead   string // when it is for, in a sentence or two
	Blocks []Block
	Steps  []Step
	Digest string // SHA-256 of the file, in hex: what somebody has reviewed
}

// Block is a piece of the text, in order. Of a step it only names which.
type Block struct {
	Kind string // heading, text, code or step
	Text string
	Step int // of a step: its number
}

// Step is one thing to do.
type Step struct {
	N    int    // from 1
	Text string // with its marker taken off
	Run  *Run   // nil: only a person can do it
}

// Run is what Lastcall can do for a step.
type Run struct {
	Do string // one of Doings
	Of string // of recheck: the edge function; "" for all
}

// What a step may have done. VoidVoucher asks which and why.
const (
	PauseAllCampaigns = "pause-all-campaigns"
	Recheck           = "recheck"
	VoidVoucher       = "void-voucher"
)

// Doings are all of them.
var Doings = []string{PauseAllCampaigns, Recheck, VoidVoucher}

// String is the marker's inside.
func (r Run) String() string { return strings.TrimSpace(r.Do + " " + r.Of) }

var (
	stepLine = regexp.MustCompile(`^\d+\. (.+)$`)
	marker   = regexp.MustCompile(`\s*\{run: ([a-z-]+)(?: ([a-z-]+))?\}$`)
)

// Parse reads a runbook: a first line "# Title", a paragraph that says when it is for, then headings (##), paragraphs, code
// between fences, and steps, which are lines that begin with a number, numbered from 1 through the whole file. A step may end
// with {run: what} or {run: what of}. Whatever else comes is text. Errors are domain.Invalid of code bad_runbook, about name:line.
func Parse(name string, text []byte) (Runbook, error) {
	sum := sha256.Sum256(text)
	b := Runbook{Name: name, Digest: hex.EncodeToString(sum[:])}
	var open *Block // the paragraph or code that goes on
	var fenced bool
	for i, line := range strings.Split(strings.TrimRight(string(text), "\n"), "\n") {
		wrong := func(message string, args ...any) (Runbook, error) {
			return Runbook{}, domain.E(domain.Invalid, "bad_runbook", message, args...).About(fmt.Sprintf("%s:%d", name, i+1))
		}
		end := func() {
			if open != nil {
				b.Blocks, open = append(b.Blocks, *open), nil
			}
		}
		switch step := stepLine.FindStringSubmatch(line); {
		case strings.HasPrefix(line, "```"):
			end()
			if fenced = !fenced; fenced {
				open = &Block{Kind: "code"}
			}
		case fenced:
			open.Text = strings.TrimPrefix(open.Text+"\n"+line, "\n")
		case i == 0:
			title, ok := strings.CutPrefix(line, "# ")
			if !ok {
				return wrong("begins with its title: # …")
			}
			b.Title = title
		case strings.TrimSpace(line) == "":
			end()
		case strings.HasPrefix(line, "## "):
			end()
			b.Blocks = append(b.Blocks, Block{Kind: "heading", Text: line[3:]})
		case step != nil:
			end()
			n := len(b.Steps) + 1
			if !strings.HasPrefix(line, fmt.Sprintf("%d. ", n)) {
				return wrong("this is step %d", n)
			}
			s := Step{N: n, Text: step[1]}
			if m := marker.FindStringSubmatch(s.Text); m != nil {
				s.Text, s.Run = strings.TrimSuffix(s.Text, m[0]), &Run{m[1], m[2]}
				if !slices.Contains(Doings, s.Run.Do) {
					return wrong("nothing runs %q; use of %v", s.Run.Do, Doings)
				}
				if s.Run.Of != "" && s.Run.Do != Recheck {
					return wrong("%s is of nothing", s.Run.Do)
				}
			} else if strings.Contains(s.Text, "{run") {
				return wrong("a marker is {run: what} at the end")
			}
			b.Steps = append(b.Steps, s)
			b.Blocks = append(b.Blocks, Block{Kind: "step", Step: n})
		case strings.HasPrefix(line, "   ") && open == nil && len(b.Blocks) > 0 && b.Blocks[len(b.Blocks)-1].Kind == "step":
			return wrong("a step is one line, so that its marker is at its end")
		case open != nil:
			open.Text += " " + strings.TrimSpace(line)
		default:
			open = &Block{Kind: "text", Text: strings.TrimSpace(line)}
		}
		if i == strings.Count(strings.TrimRight(string(text), "\n"), "\n") {
			if fenced {
				return wrong("the code has no end")
			}
			end()
		}
	}
	if len(b.Blocks) == 0 || b.Blocks[0].Kind != "text" || len(b.Steps) == 0 {
		return Runbook{}, domain.E(domain.Invalid, "bad_runbook", "says when it is for, and what to do").About(name)
	}
	b.Lead, b.Blocks = b.Blocks[0].Text, b.Blocks[1:]
	return b, nil
}

// Step is the nth step; domain.NotFound of code step_not_found when there is none.
func (b Runbook) Step(n int) (Step, error) {
	if n < 1 || n > len(b.Steps) {
		return Step{}, domain.E(domain.NotFound, "step_not_found", "%s has steps 1 to %d", b.Name, len(b.Steps))
	}
	return b.Steps[n-1], nil
}

// Digest is what a sign-off of all runbooks is bound to: a change in any of them changes it.
func Digest(all []Runbook) string {
	sum := sha256.New()
	for _, b := range slices.SortedFunc(slices.Values(all), func(a, b Runbook) int { return strings.Compare(a.Name, b.Name) }) {
		sum.Write([]byte(b.Name + " " + b.Digest + "\n"))
	}
	return hex.EncodeToString(sum.Sum(nil))
}
