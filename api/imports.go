package api

import (
	"context"
	"encoding/json"
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
	"lastcall/domain/access"
	"lastcall/domain/audience"
	"lastcall/store"
)

// Import is what becomes of a file of recipients, or of contacts. Once done, lines = invalid + duplicates + targets.
type Import struct {
	ImportID       uuid.UUID          `json:"import_id" format:"uuid"`
	CampaignID     uuid.UUID          `json:"campaign_id" format:"uuid"`
	Source         string             `json:"source" enum:"csv,contacts"`
	Filter         *audience.Filter   `json:"filter,omitempty" doc:"Which contacts"`
	Phase          audience.Phase     `json:"phase" enum:"uploading,staging,merging,done,failed,cancelled"`
	Bytes          int64              `json:"bytes,omitempty" doc:"Of an upload, received"`
	StagedBytes    int64              `json:"staged_bytes,omitempty" doc:"Of these, read"`
	Lines          int64              `json:"lines" doc:"Lines below the header, without blank ones, that have been read; or contacts"`
	Invalid        int64              `json:"invalid"`
	Duplicates     int64              `json:"duplicates" doc:"Numbers that the file repeats or the campaign has already"`
	Targets        int64              `json:"targets"`
	IgnoredColumns []string           `json:"ignored_columns" doc:"Columns that nothing uses"`
	BadLines       []store.ImportLine `json:"bad_lines" doc:"The first 100 invalid lines; none in lists and events"`
	ProblemCode    string             `json:"problem_code,omitempty" doc:"Why it failed or was cancelled"`
	Problem        string             `json:"problem,omitempty" doc:"The same for people"`
	CreatedAt      time.Time          `json:"created_at"`
	FinishedAt     *time.Time         `json:"finished_at,omitempty"`
}

// ImportPage is one page of a campaign's imports, newest first.
type ImportPage struct {
	Imports []Import `json:"imports"`
	Next    string   `json:"next,omitempty" doc:"Pass it as after for the next page; absent on the last"`
}

// ImportPath is the part of an address that names an import.
type ImportPath struct {
	CampaignPath
	ImportID uuid.UUID `path:"import_id" format:"uuid"`
}

type importOutput struct {
	Status int
	Body   Import
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
	FileInput
}

// FileInput is a CSV file as a body, and how to read it.
type FileInput struct {
	Country     string   `query:"country" doc:"Where numbers without + are dialled: ISO 3166-1 alpha-2, like RW"`
	Map         []string `query:"map,explode" doc:"field:column, repeated: which column holds a field (msisdn, name, country, locale, zone) or a template variable"`
	ContentType string   `header:"Content-Type"`
	Encoding    string   `header:"Content-Encoding"`
	file        *upload
}

// Resolve keeps the body for the handler, which streams it: huma reads none that is not declared.
func (in *FileInput) Resolve(hc huma.Context) []error {
	in.file = &upload{from: hc.BodyReader(), left: audience.MaxBytes, tooLarge: audience.TooLarge()}
	return nil
}

func (s *server) imports() {
	tags := []string{"Campaigns"}
	csv := &huma.Schema{Type: huma.TypeString, Format: "binary"}
	register(s, access.CampaignsWrite, huma.Operation{OperationID: "import-audience", Method: http.MethodPost, Path: "/campaigns/{id}/imports", Tags: tags,
		Summary: "Import recipients from CSV",
		Description: "The body is the file: a header, then a line a recipient, in UTF-8 or UTF-16. " +
			"It is taken as it streams in, as a whole or not at all: a lost connection leaves nothing; upload large files in parts instead. " +
			"Lines that cannot be used are reported and the rest goes in. The limits are " + audience.Limits + ".",
		RequestBody:   &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"text/csv": {Schema: csv}}},
		DefaultStatus: http.StatusCreated},
		func(ctx context.Context, in *importInput) (*importOutput, error) {
			if err := s.Store.Spend(ctx, store.ByActor(ctx, access.ImportsPerUser)); err != nil {
				return nil, err
			}
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
			options.Variables, options.Fixed = c.Asks(t), c.Variables
			rows, err := audience.NewReader(in.file, options)
			if err != nil {
				return nil, in.file.explain(err)
			}
			done, err := s.Store.Import(ctx, in.ID, rows)
			if err != nil {
				return nil, in.file.explain(err)
			}
			return s.imported(ctx, done, http.StatusCreated)
		})

	register(s, access.CampaignsRead, huma.Operation{OperationID: "list-imports", Method: http.MethodGet, Path: "/campaigns/{id}/imports", Tags: tags,
		Summary: "List a campaign's imports, newest first", Description: "One that has not ended is always the first."},
		func(ctx context.Context, in *struct {
			CampaignPath
			After uuid.UUID `query:"after" format:"uuid" doc:"The next of the page before"`
			Limit
		}) (*struct{ Body ImportPage }, error) {
			if _, err := s.Store.Campaign(ctx, in.ID); err != nil {
				return nil, err
			}
			all, err := s.Store.Imports(ctx, in.ID, in.After, in.fetch())
			if err != nil {
				return nil, err
			}
			all, next := cut(all, in.Limit, func(i store.Import) string { return i.ID.String() })
			page := ImportPage{Imports: make([]Import, len(all)), Next: next}
			for i, each := range all {
				page.Imports[i] = importOf(each)
			}
			return &struct{ Body ImportPage }{page}, nil
		})

	register(s, access.CampaignsRead, huma.Operation{OperationID: "get-import", Method: http.MethodGet, Path: "/campaigns/{id}/imports/{import_id}", Tags: tags,
		Summary: "Get an import", Description: "Events tell of it too, as `import`, while it moves."},
		func(ctx context.Context, in *ImportPath) (*importOutput, error) {
			imp, err := s.importAt(ctx, in)
			if err != nil {
				return nil, err
			}
			return s.imported(ctx, imp, http.StatusOK)
		})

	register(s, access.CampaignsWrite, huma.Operation{OperationID: "cancel-import", Method: http.MethodPost, Path: "/campaigns/{id}/imports/{import_id}/cancel", Tags: tags,
		Summary: "Cancel an import that has not ended", Description: "Nothing of it gets into the campaign, and its file is removed."},
		func(ctx context.Context, in *struct {
			ImportPath
			Body *Order
		}) (*importOutput, error) {
			if _, err := s.importAt(ctx, &in.ImportPath); err != nil {
				return nil, err
			}
			var reason string
			if in.Body != nil {
				reason = in.Body.Reason
			}
			imp, err := s.Store.CancelImport(ctx, in.ImportID, reason)
			if err != nil {
				return nil, err
			}
			return s.imported(ctx, imp, http.StatusOK)
		})

	register(s, access.CampaignsRead, huma.Operation{OperationID: "list-import-lines", Method: http.MethodGet, Path: "/campaigns/{id}/imports/{import_id}/lines",
		Tags: tags, Summary: "List the lines an import could not take", Description: "The first 10,000 are kept; all are counted."},
		func(ctx context.Context, in *struct {
			ImportPath
			After int64 `query:"after" minimum:"0" doc:"The next of the page before"`
			Limit
		}) (*struct{ Body BadLinePage }, error) {
			if _, err := s.importAt(ctx, &in.ImportPath); err != nil {
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

// importAt is the import that an address names, of the campaign it names.
func (s *server) importAt(ctx context.Context, in *ImportPath) (store.Import, error) {
	if _, err := s.Store.Campaign(ctx, in.ID); err != nil {
		return store.Import{}, err
	}
	imp, err := s.Store.ImportOf(ctx, in.ImportID)
	if err == nil && imp.CampaignID != in.ID {
		err = domain.E(domain.NotFound, "import_not_found", "the campaign has no import %s", in.ImportID)
	}
	return imp, err
}

// imported answers with an import and the first of its bad lines.
func (s *server) imported(ctx context.Context, i store.Import, status int) (*importOutput, error) {
	out := &importOutput{status, importOf(i)}
	var err error
	if i.Invalid > 0 {
		out.Body.BadLines, err = s.Store.ImportLines(ctx, i.ID, 0, shownLines)
	}
	return out, err
}

func importOf(i store.Import) Import {
	out := Import{ImportID: i.ID, CampaignID: i.CampaignID, Source: i.Source, Phase: i.Phase, Bytes: i.Bytes, StagedBytes: i.StagedBytes,
		Lines: i.Lines, Invalid: i.Invalid, Duplicates: i.Duplicates, Targets: i.Targets, IgnoredColumns: append([]string{}, i.IgnoredColumns...),
		BadLines: []store.ImportLine{}, ProblemCode: i.ProblemCode, Problem: i.Problem, CreatedAt: i.CreatedAt, FinishedAt: i.FinishedAt}
	if len(i.Filter) > 0 {
		out.Filter = &audience.Filter{}
		_ = json.Unmarshal(i.Filter, out.Filter) // we wrote it
	}
	return out
}

// options are the audience.Options that the request asks for.
func (in *FileInput) options() (audience.Options, error) {
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

// upload is a body that remembers whether it broke off, or is too large.
type upload struct {
	from     io.Reader
	left     int64 // that it may have
	tooLarge error // if it has more
	broken   error
}

func (u *upload) Read(p []byte) (int, error) {
	n, err := u.from.Read(p)
	if u.left -= int64(n); u.left < 0 {
		return 0, u.tooLarge
	}
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
