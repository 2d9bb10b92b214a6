package api

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/audience"
	"lastcall/store"
)

// Upload is a file on its way in: an import whose phase is uploading.
type Upload struct {
	Import
	PartSize int                `json:"part_size" doc:"A good size of a part, in bytes"`
	Received []store.UploadPart `json:"received" doc:"The parts that have arrived"`
}

// CompleteUpload says that all parts have been sent, and how the file is to be read.
type CompleteUpload struct {
	Parts   int               `json:"parts" minimum:"1" maximum:"10000" doc:"How many parts the file has"`
	Country string            `json:"country,omitempty" doc:"Where numbers without + are dialled: ISO 3166-1 alpha-2, like RW"`
	Columns map[string]string `json:"columns,omitempty" doc:"Which column holds a field (msisdn, name, country, locale, zone) or a template variable"`
}

// UploadPath is the part of an address that names an upload: the id of its import.
type UploadPath struct {
	ID uuid.UUID `path:"id" format:"uuid" doc:"The import's id"`
}

type uploadOutput struct{ Body Upload }

func (s *server) uploads() {
	tags := []string{"Campaigns"}
	register(s, access.CampaignsWrite, huma.Operation{OperationID: "start-upload", Method: http.MethodPost, Path: "/campaigns/{id}/uploads", Tags: tags,
		Summary: "Upload a file of recipients in parts",
		Description: "For large files: a lost part is sent again, not the file. Cut the file's bytes into parts of at most 8 MiB (10,000 at most), " +
			"put each, in any order, and complete the upload; a workflow then imports it as a whole, while `get-import` and the events tell how " +
			"far it is. Until it has ended or is cancelled, nothing else is imported into the campaign, and it cannot start. " +
			"The limits are " + audience.Limits + "; an upload for which no part comes for a day is given up.",
		DefaultStatus: http.StatusCreated},
		func(ctx context.Context, in *CampaignPath) (*uploadOutput, error) {
			if err := s.Store.Spend(ctx, store.ByActor(ctx, access.ImportsPerUser)); err != nil {
				return nil, err
			}
			imp, err := s.Store.StartUpload(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			return &uploadOutput{uploadOf(imp, []store.UploadPart{})}, nil
		})

	register(s, access.CampaignsRead, huma.Operation{OperationID: "get-upload", Method: http.MethodGet, Path: "/uploads/{id}", Tags: tags,
		Summary: "Get an upload", Description: "Whoever goes on with it sees which parts are there. They are gone when its import has ended."},
		func(ctx context.Context, in *UploadPath) (*uploadOutput, error) {
			imp, err := s.Store.ImportOf(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			received, err := s.Store.Parts(ctx, in.ID)
			return &uploadOutput{uploadOf(imp, received)}, err
		})

	binary := &huma.Schema{Type: huma.TypeString, Format: "binary"}
	register(s, access.CampaignsWrite, huma.Operation{OperationID: "put-upload-part", Method: http.MethodPut, Path: "/uploads/{id}/parts/{n}", Tags: tags,
		Summary: "Send a part of a file", Description: "The same part again changes nothing; another one of the same number is refused.",
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/octet-stream": {Schema: binary}}},
		// What has this many bytes is refused: one more than the largest part.
		MaxBodyBytes: audience.MaxPart + 1},
		func(ctx context.Context, in *struct {
			UploadPath
			N       int    `path:"n" minimum:"1" maximum:"10000" doc:"The first is 1"`
			Digest  string `header:"Content-Digest" required:"true" doc:"sha-256=:BASE64:, of these bytes (RFC 9530)"`
			RawBody []byte
		}) (*struct{ Body store.UploadPart }, error) {
			if err := checkDigest(in.Digest, in.RawBody); err != nil {
				return nil, err
			}
			part, err := s.Store.AddPart(ctx, in.ID, in.N, in.RawBody)
			return &struct{ Body store.UploadPart }{part}, err
		})

	register(s, access.CampaignsWrite, huma.Operation{OperationID: "complete-upload", Method: http.MethodPost, Path: "/uploads/{id}/complete", Tags: tags,
		Summary:       "Import an uploaded file",
		Description:   "What is wrong with the header comes at once, and the upload stays; the rest is the import's. Again, it changes nothing.",
		DefaultStatus: http.StatusAccepted},
		func(ctx context.Context, in *struct {
			UploadPath
			Body CompleteUpload
		}) (*importOutput, error) {
			imp, err := s.Store.CompleteUpload(ctx, in.ID, store.ImportOptions{Parts: in.Body.Parts, Country: in.Body.Country, Columns: in.Body.Columns})
			if err != nil {
				return nil, err
			}
			return s.imported(ctx, imp, http.StatusAccepted)
		})
}

func uploadOf(i store.Import, received []store.UploadPart) Upload {
	return Upload{Import: importOf(i), PartSize: audience.PartSize, Received: received}
}

// checkDigest holds a body against its Content-Digest, of which sha-256 counts.
func checkDigest(header string, body []byte) error {
	for one := range strings.SplitSeq(header, ",") {
		encoded, ok := strings.CutPrefix(strings.TrimSpace(one), "sha-256=:")
		if !ok {
			continue
		}
		digest, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(encoded, ":"))
		if err != nil || len(digest) != sha256.Size {
			break
		}
		if [sha256.Size]byte(digest) != sha256.Sum256(body) {
			return domain.E(domain.Invalid, "digest_mismatch", "the part has not arrived as it was sent; send it again").About("Content-Digest")
		}
		return nil
	}
	return domain.E(domain.Invalid, "bad_digest", "give the SHA-256 of the part: sha-256=:BASE64:").About("Content-Digest")
}
