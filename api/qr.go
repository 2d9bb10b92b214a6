package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
	"github.com/skip2/go-qrcode"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/store"
)

// TableCode is the code on a bar's table.
type TableCode struct {
	ID        uuid.UUID `json:"id" format:"uuid"`
	Label     string    `json:"label" example:"Table 7"`
	Token     string    `json:"token" doc:"What follows JOIN in the message"`
	Link      string    `json:"link,omitempty" doc:"Opens a chat with JOIN and the token; absent while whatsapp.number is not set"`
	CreatedAt time.Time `json:"created_at"`
}

// TableCodes are all of a bar's that are not revoked, oldest first.
type TableCodes struct {
	Tables []TableCode `json:"tables"`
	Number bool        `json:"number" doc:"The number that guests write to is known: without it there is no link, and nothing to print"`
}

// MoreTables is how many tables get a code.
type MoreTables struct {
	Tables int `json:"tables" minimum:"1" maximum:"500"`
}

type tablePath struct {
	ID
	Table uuid.UUID `path:"table" format:"uuid"`
}

func (s *server) tableCodes() {
	tags := []string{"Bars and stations"}
	register(s, access.BarsRead, huma.Operation{OperationID: "list-table-codes", Method: http.MethodGet, Path: "/bars/{id}/tables", Tags: tags,
		Summary: "List the codes on a bar's tables"},
		func(ctx context.Context, in *ID) (*struct{ Body TableCodes }, error) {
			if _, err := s.Store.Bar(ctx, in.ID); err != nil {
				return nil, err
			}
			all, err := s.Store.QRTokens(ctx, in.ID)
			return &struct{ Body TableCodes }{s.shownTables(all)}, err
		})
	register(s, access.BarsWrite, huma.Operation{OperationID: "add-table-codes", Method: http.MethodPost, Path: "/bars/{id}/tables", Tags: tags,
		Summary: "Make codes for more tables", Description: "Counting on from the last table that has one. Answers with the new ones.",
		DefaultStatus: http.StatusCreated},
		func(ctx context.Context, in *struct {
			ID
			Body MoreTables
		}) (*struct{ Body TableCodes }, error) {
			made, err := s.Store.AddQRTokens(ctx, in.ID.ID, in.Body.Tables)
			return &struct{ Body TableCodes }{s.shownTables(made)}, err
		})
	register(s, access.BarsWrite, huma.Operation{OperationID: "revoke-table-code", Method: http.MethodDelete, Path: "/bars/{id}/tables/{table}", Tags: tags,
		Summary: "Revoke a table's code", Description: "Who scans it joins no bar any more.", DefaultStatus: http.StatusNoContent},
		func(ctx context.Context, in *tablePath) (*struct{}, error) {
			return nil, s.Store.RevokeQRToken(ctx, in.ID.ID, in.Table)
		})
	register(s, access.BarsRead, huma.Operation{OperationID: "get-table-code-image", Method: http.MethodGet, Path: "/bars/{id}/tables/{table}/qr.svg", Tags: tags,
		Summary: "Draw a table's code", Description: "As SVG. Fails as `no_number` while whatsapp.number is not set.",
		Responses: map[string]*huma.Response{"200": {Description: "The code", Content: map[string]*huma.MediaType{svgType: {Schema: &huma.Schema{Type: "string"}}}}}},
		func(ctx context.Context, in *tablePath) (*svgAnswer, error) {
			q, err := s.Store.QRToken(ctx, in.ID.ID, in.Table)
			if err != nil {
				return nil, err
			}
			link := s.joinLink(q.Token)
			if link == "" {
				return nil, domain.E(domain.Conflict, "no_number", "set whatsapp.number, the number that guests write to")
			}
			body, err := qrSVG(link)
			return &svgAnswer{svgType, body}, err
		})
}

func (s *server) shownTables(all []store.QRToken) TableCodes {
	out := TableCodes{Tables: make([]TableCode, len(all)), Number: s.WhatsAppNumber != ""}
	for i, q := range all {
		out.Tables[i] = TableCode{q.ID, q.Label, q.Token, s.joinLink(q.Token), q.CreatedAt}
	}
	return out
}

// joinLink opens a chat with us that says JOIN and the token; "" while our number is not known.
func (s *server) joinLink(token string) string {
	if s.WhatsAppNumber == "" {
		return ""
	}
	return "https://wa.me/" + strings.TrimPrefix(s.WhatsAppNumber, "+") + "?text=" + url.PathEscape("JOIN "+token)
}

const svgType = "image/svg+xml"

type svgAnswer struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

// qrSVG draws text as a QR code that survives a scratch (level M), black on white whatever is around it, with the four
// modules of white that readers want.
func qrSVG(text string) ([]byte, error) {
	code, err := qrcode.New(text, qrcode.Medium)
	if err != nil {
		return nil, fmt.Errorf("draw a QR code: %w", err)
	}
	code.DisableBorder = true
	const quiet = 4
	modules := code.Bitmap()
	side := len(modules)
	var path strings.Builder
	for y, row := range modules {
		for x := 0; x < side; x++ {
			begin := x
			for x < side && row[x] {
				x++
			}
			if x > begin {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", begin+quiet, y+quiet, x-begin, x-begin)
			}
		}
	}
	whole := side + 2*quiet
	return fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" shape-rendering="crispEdges">`+
		`<rect width="%d" height="%d" fill="#fff"/><path d="%s" fill="#000"/></svg>`, whole, whole, whole, whole, path.String()), nil
}
