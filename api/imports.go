package api

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/audience"
	"lastcall/store"
)

// Import is what became of a file of recipients: lines = invalid + duplicates + targets.
type Import struct {
	ImportID       uuid.UUID          `json:"import_id" format:"uuid"`
	CampaignID     uuid.UUID          `json:"campaign_id" format:"uuid"`
	Lines          int64              `json:"lines" doc:"Lines below the header, without blank ones"`
	Invalid        int64              `json:"invalid"`
	Duplicates     int64              `json:"duplicates" doc:"Numbers that the file repeats or the campaign has already"`
	Targets        int64              `json:"targets"`
	IgnoredColumns []string           `json:"ignored_columns" doc:"Columns that nothing uses"`
	BadLines       []store.ImportLine `json:"bad_lines" doc:"The first 100 invalid lines"`
	CreatedAt      time.Time          `json:"created_at"`
}

// BadLinePage is one page of the lines an import could not take.
type BadLinePage struct {
	Lines []store.ImportLine `json:"lines"`
	Next  string             `json:"next,omitempty" doc:"Pass it as after for the next page; absent on the last"`
}

// shownLines is how many bad lines the answer to an import shows.
const shownLines = 100

type importInput struct {
	CampaignPath
	Country     string   `query:"country" doc:"Where numbers without + are dialled: ISO 3166-1 alpha-2, like RW"`
	Map         []string `query:"map,explode" doc:"field:column, repeated: which column holds a field (msisdn, name, country, locale, zone) or a template variable"`
	ContentType string   `header:"Content-Type"`
	Encoding    string   `header:"Content-Encoding"`
	file        *upload
}

// Resolve keeps the body for the handler, which streams it: huma reads none that is not declared.
func (in *importInput) Resolve(hc huma.Context) []error {
	in.file = &upload{from: hc.BodyReader()}
	return nil
}

func (s *server) imports() {
	tags := []string{"Campaigns"}
	csv := &huma.Schema{Type: huma.TypeString, Format: "binary"}
	register(s, huma.Operation{OperationID: "import-audience", Method: http.MethodPost, Path: "/campaigns/{id}/imports", Tags: tags,
		Summary: "Import recipients from CSV",
		Description: "The body is the file, of any size: a header, then a line a recipient, in UTF-8 or UTF-16. " +
			"It is taken as it streams in, as a whole or not at all: a lost connection leaves nothing. " +
			"Lines that cannot be used are reported and the rest goes in.",
		RequestBody:   &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"text/csv": {Schema: csv}}},
		DefaultStatus: http.StatusCreated},
		func(ctx context.Context, in *importInput) (*struct{ Body Import }, error) {
			options, err := in.options()
			if err != nil {
				return nil, err
			}
			c, err := s.Store.Campaign(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			t, err := s.Store.Template(ctx, c.TemplateID)
			if err != nil {
				return nil, err
			}
			options.Variables, options.Fixed = t.Variables, c.Variables
			rows, err := audience.NewReader(in.file, options)
			if err != nil {
				return nil, in.file.explain(err)
			}
			done, err := s.Store.Import(ctx, in.ID, rows)
			if err != nil {
				return nil, in.file.explain(err)
			}
			bad, err := s.Store.ImportLines(ctx, done.ID, 0, shownLines)
			return &struct{ Body Import }{Import{ImportID: done.ID, CampaignID: done.CampaignID, Lines: done.Lines,
				Invalid: done.Invalid, Duplicates: done.Duplicates, Targets: done.Targets, IgnoredColumns: done.IgnoredColumns,
				BadLines: bad, CreatedAt: done.CreatedAt}}, err
		})

	register(s, huma.Operation{OperationID: "list-import-lines", Method: http.MethodGet, Path: "/campaigns/{id}/imports/{import_id}/lines",
		Tags: tags, Summary: "List the lines an import could not take", Description: "The first 10,000 are kept; all are counted."},
		func(ctx context.Context, in *struct {
			CampaignPath
			ImportID uuid.UUID `path:"import_id" format:"uuid"`
			After    int64     `query:"after" minimum:"0" doc:"The next of the page before"`
			Limit
		}) (*struct{ Body BadLinePage }, error) {
			if _, err := s.Store.Campaign(ctx, in.ID); err != nil {
				return nil, err
			}
			lines, err := s.Store.ImportLines(ctx, in.ImportID, in.After, in.fetch())
			if err != nil {
				return nil, err
			}
			lines, next := cut(lines, in.Limit, func(l store.ImportLine) string { return strconv.FormatInt(l.Line, 10) })
			return &struct{ Body BadLinePage }{BadLinePage{lines, next}}, nil
		})
}

// options are the audience.Options that the request asks for.
func (in *importInput) options() (audience.Options, error) {
	o := audience.Options{Country: in.Country, Columns: map[string]string{}}
	if kind, _, _ := mime.ParseMediaType(in.ContentType); in.ContentType != "" && kind != "text/csv" && kind != "text/plain" && kind != "application/octet-stream" {
		return o, &Problem{Title: http.StatusText(http.StatusUnsupportedMediaType), Status: http.StatusUnsupportedMediaType,
			Code: "unsupported_media_type", Field: "Content-Type", Detail: "send the file itself as text/csv, not as a form or JSON"}
	}
	if in.Encoding != "" && in.Encoding != "identity" {
		return o, &Problem{Title: http.StatusText(http.StatusUnsupportedMediaType), Status: http.StatusUnsupportedMediaType,
			Code: "unsupported_media_type", Field: "Content-Encoding", Detail: "send the file uncompressed"}
	}
	var problems []error
	for _, pair := range in.Map {
		field, column, ok := strings.Cut(pair, ":")
		if !ok || field == "" || column == "" {
			problems = append(problems, domain.E(domain.Invalid, "bad_mapping", "write field:column, like msisdn:Phone").About("map"))
			continue
		}
		if _, twice := o.Columns[field]; twice {
			problems = append(problems, domain.E(domain.Invalid, "bad_mapping", "%.40q is mapped twice", field).About("map"))
		}
		o.Columns[field] = column
	}
	return o, errors.Join(problems...)
}

// upload is a body that remembers whether it broke off.
type upload struct {
	from   io.Reader
	broken error
}

func (u *upload) Read(p []byte) (int, error) {
	n, err := u.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		u.broken = err
	}
	return n, err
}

// explain is err, or what it comes from: a file that never arrived whole.
func (u *upload) explain(err error) error {
	if u.broken == nil {
		return err
	}
	return domain.E(domain.Invalid, "upload_interrupted", "the connection was lost before the whole file had arrived; nothing was imported").Because(u.broken)
}
