package api

import (
	"context"
	"encoding/csv"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/audience"
	"lastcall/domain/audit"
	"lastcall/store"
)

// contactColumns are the columns of contacts.csv. A file of them can be imported again.
var contactColumns = []string{"msisdn", "name", "country", "locale", "zone", "tags", "bar", "opted_in_at", "opt_in_source", "opted_out"}

type contactsInput struct {
	FileInput
	Tags    []string `query:"tag,explode" maxItems:"50" doc:"A tag that every contact of the file gets, repeated"`
	Mode    string   `query:"tags_mode" enum:"add,replace" default:"add" doc:"Whether tags are added to those a contact has, or take their place"`
	Consent string   `query:"consent_source" maxLength:"200" doc:"Where everybody in the file agreed to marketing; absent: only who has opted_in_at or opt_in_source did"`
}

func (s *server) contactFiles() {
	tags := []string{"Contacts"}
	file := &huma.Schema{Type: huma.TypeString, Format: "binary"}
	register(s, access.ContactsWrite, huma.Operation{OperationID: "import-contacts", Method: http.MethodPost, Path: "/contacts/imports", Tags: tags,
		Summary: "Import contacts from CSV",
		Description: "The body is the file: a header, then a line a contact, in UTF-8 or UTF-16, at most 1,000,000 lines and 256 MiB. The fields are " +
			strings.Join(contactColumns[:9], ", ") + "; tags are written with ; or | between them. By number contacts are added or changed; what the file leaves " +
			"empty stays. Lines that cannot be used are reported by their number and the rest goes in: all of it, or nothing if the connection is lost. " +
			"Consent needs its source: opt_in_source in the line, or consent_source for all. One without opted_in_at is recorded as of now, for those only who " +
			"never said anything else. Nobody is taken off the opt-out registry.",
		RequestBody:   &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"text/csv": {Schema: file}}},
		DefaultStatus: http.StatusCreated},
		func(ctx context.Context, in *contactsInput) (*struct{ Body store.ContactImport }, error) {
			options, err := in.options()
			if err != nil {
				return nil, err
			}
			o := audience.ContactOptions{Columns: options.Columns, Country: options.Country, Tags: in.Tags, Consent: strings.TrimSpace(in.Consent)}
			if err := o.Check(); err != nil {
				return nil, err
			}
			in.file.left = audience.MaxContactBytes
			in.file.tooLarge = domain.E(domain.TooLarge, "file_too_large", "the file is too large: a file of contacts has at most 256 MiB")
			rows, err := audience.NewContactReader(in.file, o)
			if err != nil {
				return nil, in.file.explain(err)
			}
			done, err := s.Store.ImportContacts(ctx, rows, in.Mode == "replace")
			if err != nil {
				return nil, in.file.explain(err)
			}
			return &struct{ Body store.ContactImport }{done}, nil
		})

	register(s, access.ContactsReveal, huma.Operation{OperationID: "export-contacts", Method: http.MethodGet, Path: "/contacts.csv", Tags: tags,
		Summary: "Export contacts with their numbers",
		Description: "CSV (RFC 4180, UTF-8) that can be imported again; the columns are " + strings.Join(contactColumns, ", ") + ". That it was made is in the audit log. " +
			"Cells that a spreadsheet would take for a formula begin with an apostrophe. A file that was cut short ends in a broken transfer.",
		Responses: map[string]*huma.Response{"200": {Description: "The file", Content: map[string]*huma.MediaType{
			"text/csv": {Schema: &huma.Schema{Type: huma.TypeString}}}}}},
		func(ctx context.Context, in *ContactChoice) (*huma.StreamResponse, error) {
			if err := s.Store.Enter(ctx, audit.Entry{Action: "contacts.exported", Target: "contacts", Diff: map[string]any{"filter": in}}); err != nil {
				return nil, err
			}
			return &huma.StreamResponse{Body: func(hc huma.Context) {
				hc.SetHeader("Content-Type", "text/csv; charset=utf-8")
				hc.SetHeader("Content-Disposition", `attachment; filename="contacts-`+time.Now().UTC().Format(time.DateOnly)+`.csv"`)
				s.exportContacts(hc.Context(), hc.BodyWriter().(http.ResponseWriter), in.filter())
			}}, nil
		})
}

// exportContacts writes the file as the contacts come, of which it holds one page.
func (s *server) exportContacts(ctx context.Context, w http.ResponseWriter, f store.ContactFilter) {
	rc, out := http.NewResponseController(w), csv.NewWriter(w)
	n := 0
	_ = rc.SetWriteDeadline(time.Now().Add(exportWithin))
	_ = out.Write(contactColumns) // Flush tells the error
	err := s.Store.ExportContacts(ctx, f, func(c store.Contact) error {
		if n++; n%1000 == 0 {
			_ = rc.SetWriteDeadline(time.Now().Add(exportWithin))
		}
		return out.Write(contactCells(c))
	})
	out.Flush()
	if err = errors.Join(err, out.Error()); err != nil {
		s.Log.WarnContext(ctx, "export of contacts broken off", "written", n, "error", err)
		panic(http.ErrAbortHandler) // the reader must not take what it has for the whole
	}
}

// contactCells is one line. A number is its + and digits, by the database's own check, and no formula.
func contactCells(c store.Contact) []string {
	out := ""
	if c.OptedOut {
		out = "yes"
	}
	return []string{string(c.MSISDN), cell(c.Name), c.Country, cell(c.Locale), cell(c.Zone), cell(strings.Join(c.Tags, ";")), cell(c.BarCode),
		stamp(c.OptedInAt), cell(c.OptInSource), out}
}
