package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain/access"
	"lastcall/store"
)

// Operator is a person who works at a station.
type Operator struct {
	ID         uuid.UUID  `json:"id" format:"uuid"`
	StationID  uuid.UUID  `json:"station_id" format:"uuid"`
	Name       string     `json:"name"`
	PINSetAt   *time.Time `json:"pin_set_at,omitempty" doc:"Absent: no PIN, and so no way in"`
	CreatedAt  time.Time  `json:"created_at"`
	DisabledAt *time.Time `json:"disabled_at,omitempty" doc:"Absent: may sign in"`
}

// Operators are all who work at a station, oldest first.
type Operators struct {
	Operators []Operator `json:"operators"`
}

// OperatorName is what to call an operator.
type OperatorName struct {
	Name string `json:"name" maxLength:"200"`
}

// OperatorPIN is an operator with the PIN they have now. It is told once.
type OperatorPIN struct {
	Operator Operator `json:"operator"`
	PIN      string   `json:"pin" doc:"Six digits; nobody is told again"`
}

func (s *server) operators() {
	tags := []string{"Bars and stations"}
	register(s, access.DevicesManage, huma.Operation{OperationID: "list-operators", Method: http.MethodGet, Path: "/stations/{id}/operators", Tags: tags,
		Summary: "List who works at a station, oldest first"},
		func(ctx context.Context, in *ID) (*struct{ Body Operators }, error) {
			if _, err := s.Store.Station(ctx, in.ID); err != nil {
				return nil, err
			}
			all, err := s.Store.Operators(ctx, in.ID)
			out := Operators{make([]Operator, len(all))}
			for i, o := range all {
				out.Operators[i] = shownOperator(o)
			}
			return &struct{ Body Operators }{out}, err
		})
	register(s, access.DevicesManage, huma.Operation{OperationID: "add-operator", Method: http.MethodPost, Path: "/stations/{id}/operators", Tags: tags,
		Summary: "Add somebody who works at a station", Description: "Answers with their PIN, which is told once.", DefaultStatus: http.StatusCreated},
		func(ctx context.Context, in *struct {
			ID
			Body OperatorName
		}) (*struct{ Body OperatorPIN }, error) {
			return answerPIN(s.Store.AddOperator(ctx, in.ID.ID, in.Body.Name))
		})
	register(s, access.DevicesManage, huma.Operation{OperationID: "reset-pin", Method: http.MethodPost, Path: "/operators/{id}/pin", Tags: tags,
		Summary:     "Give an operator another PIN",
		Description: "Answers with the PIN, which is told once. Ends the operator's sessions and the station's lock-out."},
		func(ctx context.Context, in *ID) (*struct{ Body OperatorPIN }, error) {
			return answerPIN(s.Store.ResetPIN(ctx, in.ID))
		})
	for path, disabled := range map[string]bool{"disable": true, "enable": false} {
		summary := map[bool]string{true: "Keep an operator from signing in, end their sessions and forget their PIN", false: "Let an operator have a PIN again"}[disabled]
		register(s, access.DevicesManage, huma.Operation{OperationID: path + "-operator", Method: http.MethodPost, Path: "/operators/{id}/" + path, Tags: tags,
			Summary: summary},
			func(ctx context.Context, in *ID) (*struct{ Body Operator }, error) {
				o, err := s.Store.SetOperatorDisabled(ctx, in.ID, disabled)
				return &struct{ Body Operator }{shownOperator(o)}, err
			})
	}
}

func answerPIN(o store.Operator, pin string, err error) (*struct{ Body OperatorPIN }, error) {
	return &struct{ Body OperatorPIN }{OperatorPIN{shownOperator(o), pin}}, err
}

func shownOperator(o store.Operator) Operator {
	return Operator{o.ID, o.StationID, o.Name, o.PINSetAt, o.CreatedAt, o.DisabledAt}
}
