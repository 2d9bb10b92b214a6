package api

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/contact"
	"lastcall/store"
)

// OptOut is an entry of the registry of those who want no messages. It holds no number.
type OptOut struct {
	Digest    string    `json:"digest" doc:"The beginning of the number's keyed hash, by which the audit log names it too"`
	Source    string    `json:"source" enum:"registry,provider,inbound" doc:"registry: entered by staff; provider: told to WhatsApp; inbound: STOP written to us"`
	Reason    string    `json:"reason,omitempty"`
	CreatedAt time.Time `json:"created_at"`
}

// OptOutPage is one page of the registry, oldest first.
type OptOutPage struct {
	OptOuts []OptOut `json:"opt_outs"`
	Next    string   `json:"next,omitempty" doc:"Pass it as after for the next page; absent on the last"`
}

// Numbers are phone numbers to add to the registry or to take out of it.
type Numbers struct {
	Numbers []string `json:"numbers" minItems:"1" maxItems:"100000" doc:"With + and country code, or as dialled in country"`
	Country string   `json:"country,omitempty" doc:"Where numbers without + are dialled: ISO 3166-1 alpha-2"`
	Reason  string   `json:"reason,omitempty" maxLength:"500" doc:"Why, for the registry and the audit log"`
}

// OptOutsAdded is what adding numbers did.
type OptOutsAdded struct {
	Given int   `json:"given"`
	Added int64 `json:"added" doc:"How many were not in the registry before"`
}

// OptOutsRemoved is what taking numbers out did.
type OptOutsRemoved struct {
	Given   int   `json:"given"`
	Removed int64 `json:"removed" doc:"How many were in the registry"`
}

func (s *server) optOuts() {
	tags := []string{"Opt-outs"}
	const enough = 4 << 20 // bytes for maxItems numbers
	register(s, access.OptOutsRead, huma.Operation{OperationID: "list-opt-outs", Method: http.MethodGet, Path: "/opt-outs", Tags: tags,
		Summary: "List opt-outs", Description: "The registry holds keyed hashes, no numbers."},
		func(ctx context.Context, in *struct {
			After string `query:"after" doc:"The next of the page before"`
			Limit
		}) (*struct{ Body OptOutPage }, error) {
			after, err := parseOptOutCursor(in.After)
			if err != nil {
				return nil, err
			}
			all, err := s.Store.OptOuts(ctx, after, in.fetch())
			if err != nil {
				return nil, err
			}
			all, next := cut(all, in.Limit, optOutCursor)
			page := OptOutPage{OptOuts: make([]OptOut, len(all)), Next: next}
			for i, o := range all {
				page.OptOuts[i] = optOutOf(o)
			}
			return &struct{ Body OptOutPage }{page}, nil
		})

	register(s, access.OptOutsRead, huma.Operation{OperationID: "find-opt-out", Method: http.MethodPost, Path: "/opt-outs/find", Tags: tags,
		Summary: "Find whether a number is in the registry", Description: "A POST, because addresses hold no numbers. It is hashed here and changes nothing."},
		func(ctx context.Context, in *struct{ Body ContactNumber }) (*struct{ Body OptOut }, error) {
			number, err := contact.ParseNumber(in.Body.MSISDN, in.Body.Country)
			if err != nil {
				return nil, err
			}
			o, err := s.Store.OptOutOf(ctx, number.MSISDN)
			if err == nil && o == nil {
				err = domain.E(domain.NotFound, "opt_out_not_found", "this number has not opted out")
			}
			if err != nil {
				return nil, err
			}
			return &struct{ Body OptOut }{optOutOf(*o)}, nil
		})

	register(s, access.OptOutsWrite, huma.Operation{OperationID: "add-opt-outs", Method: http.MethodPost, Path: "/opt-outs", Tags: tags, MaxBodyBytes: enough,
		Summary:     "Opt numbers out",
		Description: "All or none. It counts for every message whose sending has not begun, of running campaigns too."},
		func(ctx context.Context, in *struct{ Body Numbers }) (*struct{ Body OptOutsAdded }, error) {
			numbers, err := in.Body.parse()
			if err != nil {
				return nil, err
			}
			added, err := s.Store.AddOptOuts(ctx, numbers, store.OptOutRegistry, in.Body.Reason)
			return &struct{ Body OptOutsAdded }{OptOutsAdded{len(numbers), added}}, err
		})

	register(s, access.OptOutsLift, huma.Operation{OperationID: "remove-opt-outs", Method: http.MethodPost, Path: "/opt-outs/remove", Tags: tags, MaxBodyBytes: enough,
		Summary:     "Take numbers out of the registry",
		Description: "Only for people who asked for messages again; whoever writes START takes themselves out. Every number must be one, else nothing is done."},
		func(ctx context.Context, in *struct{ Body Numbers }) (*struct{ Body OptOutsRemoved }, error) {
			numbers, err := in.Body.parse()
			if err != nil {
				return nil, err
			}
			removed, err := s.Store.RemoveOptOuts(ctx, numbers, in.Body.Reason)
			return &struct{ Body OptOutsRemoved }{OptOutsRemoved{len(numbers), removed}}, err
		})
}

func optOutOf(o store.OptOut) OptOut {
	return OptOut{Digest: hex.EncodeToString(o.MSISDNHash[:8]), Source: o.Source, Reason: o.Reason, CreatedAt: o.CreatedAt}
}

// parse reads the numbers. What is wrong is named by its place in the list, never by the number.
func (n Numbers) parse() ([]contact.MSISDN, error) {
	const told = 100
	var problems []error
	numbers := make([]contact.MSISDN, len(n.Numbers))
	for i, raw := range n.Numbers {
		number, err := contact.ParseNumber(raw, n.Country)
		if e, ok := errors.AsType[*domain.Error](err); ok && len(problems) < told {
			problems = append(problems, e.About(fmt.Sprintf("numbers[%d]", i)))
		}
		numbers[i] = number.MSISDN
	}
	return numbers, errors.Join(problems...)
}

// optOutCursor is the place of an entry in the registry: its time and hash.
func optOutCursor(o store.OptOut) string {
	at := binary.BigEndian.AppendUint64(nil, uint64(o.CreatedAt.UnixMicro()))
	return base64.RawURLEncoding.EncodeToString(append(at, o.MSISDNHash...))
}

func parseOptOutCursor(cursor string) (*store.OptOut, error) {
	if cursor == "" {
		return nil, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(raw) != 8+32 {
		return nil, domain.E(domain.Invalid, "bad_cursor", "pass the next of the page before, unchanged").About("after")
	}
	at := time.UnixMicro(int64(binary.BigEndian.Uint64(raw)))
	if year := at.UTC().Year(); year < 2000 || year > 9999 {
		return nil, domain.E(domain.Invalid, "bad_cursor", "pass the next of the page before, unchanged").About("after")
	}
	return &store.OptOut{CreatedAt: at, MSISDNHash: raw[8:]}, nil
}
