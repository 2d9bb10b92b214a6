package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/oncall"
	"lastcall/domain/probe"
	"lastcall/domain/runbook"
)

// Runbook is what to do when something is wrong.
type Runbook struct {
	Name   string         `json:"name" example:"messaging-failures"`
	Title  string         `json:"title"`
	Lead   string         `json:"lead" doc:"When it is for"`
	Digest string         `json:"digest" doc:"SHA-256 of its text, in hex: what somebody has reviewed"`
	Blocks []RunbookBlock `json:"blocks,omitempty" doc:"Of one runbook alone"`
}

// RunbookBlock is a piece of a runbook, in order.
type RunbookBlock struct {
	Kind string `json:"kind" enum:"heading,text,code,step"`
	Text string `json:"text"`
	Step int    `json:"step,omitempty" doc:"Of a step: its number"`
	Run  string `json:"run,omitempty" enum:"pause-all-campaigns,recheck,void-voucher" doc:"What Lastcall can do for it"`
	Of   string `json:"of,omitempty" doc:"Of recheck: the edge function"`
}

// Runbooks are all of them.
type Runbooks struct {
	Runbooks []Runbook `json:"runbooks"`
	Digest   string    `json:"digest" doc:"Of all: a change in any changes it"`
}

// OnCall says who of Ops is to be woken.
type OnCall struct {
	Zone  string       `json:"zone" doc:"Whose clocks turns go by"`
	Now   *OnCallTurn  `json:"now,omitempty" doc:"Absent: nobody"`
	Turns []OnCallTurn `json:"turns" doc:"This one and the next, eight at most"`
}

// OnCallTurn is one week of the rota.
type OnCallTurn struct {
	Member  string    `json:"member" doc:"An account's address"`
	From    time.Time `json:"from"`
	Until   time.Time `json:"until"`
	Swapped bool      `json:"swapped,omitempty" doc:"It would be another's turn"`
}

func (s *server) runbooks() {
	tags := []string{"Incidents"}
	register(s, access.IncidentsRead, huma.Operation{OperationID: "list-runbooks", Method: http.MethodGet, Path: "/runbooks", Tags: tags, Summary: "List what to do when something is wrong"},
		func(_ context.Context, _ *struct{}) (*struct{ Body Runbooks }, error) {
			out := Runbooks{Runbooks: make([]Runbook, len(s.Runbooks)), Digest: runbook.Digest(s.Runbooks)}
			for i, b := range s.Runbooks {
				out.Runbooks[i] = Runbook{Name: b.Name, Title: b.Title, Lead: b.Lead, Digest: b.Digest}
			}
			return &struct{ Body Runbooks }{out}, nil
		})
	register(s, access.IncidentsRead, huma.Operation{OperationID: "get-runbook", Method: http.MethodGet, Path: "/runbooks/{name}", Tags: tags, Summary: "Get a runbook with its steps"},
		func(_ context.Context, in *struct {
			Name string `path:"name" maxLength:"60"`
		}) (*struct{ Body Runbook }, error) {
			b, err := s.runbook(in.Name)
			if err != nil {
				return nil, err
			}
			out := Runbook{Name: b.Name, Title: b.Title, Lead: b.Lead, Digest: b.Digest, Blocks: make([]RunbookBlock, len(b.Blocks))}
			for i, block := range b.Blocks {
				out.Blocks[i] = RunbookBlock{Kind: block.Kind, Text: block.Text, Step: block.Step}
				if block.Step > 0 {
					step := b.Steps[block.Step-1]
					out.Blocks[i].Text = step.Text
					if step.Run != nil {
						out.Blocks[i].Run, out.Blocks[i].Of = step.Run.Do, step.Run.Of
					}
				}
			}
			return &struct{ Body Runbook }{out}, nil
		})
	register(s, access.IncidentsRead, huma.Operation{OperationID: "get-on-call", Method: http.MethodGet, Path: "/on-call", Tags: tags, Summary: "Tell who is on call",
		Description: "By the setting `on_call`: a week each, in turn."},
		func(ctx context.Context, _ *struct{}) (*struct{ Body OnCall }, error) {
			set, err := s.Store.Settings(ctx)
			if err != nil {
				return nil, err
			}
			now := time.Now()
			out := OnCall{Zone: set.OnCall.Zone, Turns: []OnCallTurn{}}
			for _, turn := range set.OnCall.Next(now, 8) {
				out.Turns = append(out.Turns, turnOf(turn))
			}
			if turn, ok := set.OnCall.At(now); ok {
				t := turnOf(turn)
				out.Now = &t
			}
			return &struct{ Body OnCall }{out}, nil
		})
}

func turnOf(t oncall.Turn) OnCallTurn { return OnCallTurn(t) }

// runbook is the one of a name; domain.NotFound of code runbook_not_found.
func (s *server) runbook(name string) (runbook.Runbook, error) {
	i := slices.IndexFunc(s.Runbooks, func(b runbook.Runbook) bool { return b.Name == name })
	if i < 0 {
		return runbook.Runbook{}, domain.E(domain.NotFound, "runbook_not_found", "there is no runbook %q", name)
	}
	return s.Runbooks[i], nil
}

// recheck has an edge function probed (all of them without a name), waits for what is found as long as orders wait, and says it.
func (s *server) recheck(ctx context.Context, name string) (string, error) {
	if name == "" {
		for _, f := range probe.Functions {
			if err := s.Store.RequestProbe(ctx, f.Name); err != nil {
				return "", err
			}
		}
		return "all are probed now", nil
	}
	known, err := s.Store.EdgeFunction(ctx, probe.Name(name))
	if err != nil {
		return "", err
	}
	if err := s.Store.RequestProbe(ctx, known.Name); err != nil {
		return "", err
	}
	wait, cancel := context.WithTimeout(ctx, s.EffectWithin)
	defer cancel()
	now, done, err := s.Store.AwaitProbe(wait, known)
	if err != nil {
		return "", err
	}
	if !done {
		return name + " was " + string(known.State) + "; nobody has probed it within " + s.EffectWithin.String(), nil
	}
	came := name + " is " + string(now.State)
	if now.Detail != "" {
		came += ": " + now.Detail
	}
	return came, nil
}
