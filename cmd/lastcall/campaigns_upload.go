package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"lastcall/api"
	"lastcall/domain/audience"
)

// uploading is one file on its way into a campaign in parts.
type uploading struct {
	*output
	client   *apiClient
	campaign string
	file     *audienceFile
	reading  reading
}

// run sends the parts that are not there yet and waits until the file is imported.
func (u *uploading) run(ctx context.Context, resume bool) (done api.Import, err error) {
	up, err := u.open(ctx, resume)
	if err != nil {
		return done, err
	}
	if up.Phase == audience.Uploading {
		parts, err := u.send(ctx, up)
		if err == nil {
			err = u.complete(ctx, up, parts)
		}
		if err != nil {
			if errors.Is(err, errInterrupted) {
				err = errors.New("interrupted; nothing was imported")
			}
			return done, fmt.Errorf("%w\nwhat has arrived is kept for a day: go on with lastcall campaigns import %s FILE --resume, or give up with lastcall campaigns import-cancel %s",
				err, u.campaign, u.campaign)
		}
	}
	return u.follow(ctx, up.ImportID)
}

// open begins an upload, or finds the one to go on with.
func (u *uploading) open(ctx context.Context, resume bool) (up api.Upload, err error) {
	if resume {
		var page api.ImportPage
		if err := u.client.get(ctx, "/campaigns/"+u.campaign+"/imports", url.Values{"limit": {"1"}}, &page); err != nil {
			return up, err
		}
		if len(page.Imports) > 0 && !page.Imports[0].Phase.Ended() {
			return up, u.client.get(ctx, "/uploads/"+page.Imports[0].ImportID.String(), nil, &up)
		}
	}
	_, err = u.client.call(ctx, http.MethodPost, "/campaigns/"+u.campaign+"/uploads", nil, &up)
	if p, ok := errors.AsType[*api.Problem](err); ok && p.Code == "import_running" {
		err = fmt.Errorf("%w\ngo on with it by --resume, or give it up: lastcall campaigns import-cancel %s", err, u.campaign)
	}
	return up, err
}

// send sends the file in parts and returns how many it has.
func (u *uploading) send(ctx context.Context, up api.Upload) (parts int, err error) {
	there := map[int][]byte{}
	for _, p := range up.Received {
		there[p.N] = p.Digest
	}
	progress := u.uploadProgress(u.file)
	defer progress.end()
	from := progress.reader(u.file)
	part := make([]byte, up.PartSize)
	for n := 1; ; n++ {
		size, err := io.ReadFull(from, part)
		if size == 0 && errors.Is(err, io.EOF) {
			return n - 1, nil
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return n, err
		}
		digest := sha256.Sum256(part[:size])
		if known := there[n]; known != nil {
			if !bytes.Equal(known, digest[:]) {
				return n, fmt.Errorf("%s is not the file whose upload was begun: part %d is another one", u.file.name, n)
			}
			continue
		}
		header := http.Header{"Content-Type": {"application/octet-stream"},
			"Content-Digest": {"sha-256=:" + base64.StdEncoding.EncodeToString(digest[:]) + ":"}}
		if err := u.patiently(ctx, func(ctx context.Context) error {
			_, err := u.client.send(ctx, http.MethodPut, "/uploads/"+up.ImportID.String()+"/parts/"+strconv.Itoa(n), header,
				bytes.NewReader(part[:size]), &struct{}{})
			return err
		}); err != nil {
			return n, err
		}
	}
}

func (u *uploading) complete(ctx context.Context, up api.Upload, parts int) error {
	body := api.CompleteUpload{Parts: parts, Country: u.reading.country, Columns: u.reading.columns}
	if parts == 0 {
		return fmt.Errorf("%s: the file is empty; its first line must name the columns", u.file.name)
	}
	return u.patiently(ctx, func(ctx context.Context) error {
		_, err := u.client.call(ctx, http.MethodPost, "/uploads/"+up.ImportID.String()+"/complete", body, &api.Import{})
		return err
	})
}

// follow waits until an import has ended, and shows how far it is.
func (u *uploading) follow(ctx context.Context, id uuid.UUID) (i api.Import, err error) {
	view := u.importProgress()
	defer view.end()
	began, told := time.Now(), false
	for {
		err := u.patiently(ctx, func(ctx context.Context) error {
			return u.client.get(ctx, "/campaigns/"+u.campaign+"/imports/"+id.String(), nil, &i)
		})
		switch {
		case errors.Is(err, errInterrupted):
			return i, fmt.Errorf("interrupted; the import goes on: lastcall campaigns imports %s", u.campaign)
		case err != nil:
			return i, err
		case i.Phase == audience.Done:
			return i, nil
		case i.Phase.Ended():
			return i, fmt.Errorf("the import is %s, nothing was imported: %s", i.Phase, i.Problem)
		}
		view.show(i)
		if idle := time.Since(began) > 10*time.Second && i.Lines == 0; idle && !told {
			if why := u.client.missing(ctx); why != "" {
				told = true
				u.say("safely noted, has not begun yet (%s)", why)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// patience is how long an upload waits for an API that does not answer.
const patience = 2 * time.Minute

// patiently repeats a call for as long as the API does not answer; it must be one that may be repeated.
func (u *uploading) patiently(ctx context.Context, call func(context.Context) error) error {
	var since time.Time
	for pause := 200 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		attempt, cancel := context.WithTimeout(ctx, callWithin)
		err := call(attempt)
		cancel()
		if ctx.Err() != nil {
			return errInterrupted
		}
		_, silent := errors.AsType[unreachable](err)
		p, refused := errors.AsType[*api.Problem](err)
		if !silent && (!refused || p.Status != http.StatusServiceUnavailable) {
			return err
		}
		if since.IsZero() {
			since = time.Now()
			u.say("%v; trying again for %s", err, patience)
		}
		if time.Since(since) > patience {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

func campaignsImports(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "imports ID", Short: "List a campaign's imports, newest first", Args: cobra.MatchAll(cobra.ExactArgs(1), campaignIDs),
		Example: "  lastcall campaigns imports 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var page api.ImportPage
			if err := c.get(cmd.Context(), "/campaigns/"+args[0]+"/imports", nil, &page); err != nil {
				return err
			}
			return o.print(page, func(t *listing) {
				t.header("import", "source", "phase", "lines", "targets", "duplicates", "invalid", "created", "problem")
				t.right(4, 5, 6, 7)
				for _, i := range page.Imports {
					t.row(i.ImportID, i.Source, i.Phase, i.Lines, i.Targets, i.Duplicates, i.Invalid, i.CreatedAt, i.Problem)
				}
			})
		},
	}
}

func campaignsImportCancel(o *output) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "import-cancel ID", Short: "Cancel the import that runs into a campaign", Args: cobra.MatchAll(cobra.ExactArgs(1), campaignIDs),
		Example: "  lastcall campaigns import-cancel 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f --reason \"wrong file\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var page api.ImportPage
			if err := c.get(cmd.Context(), "/campaigns/"+args[0]+"/imports", url.Values{"limit": {"1"}}, &page); err != nil {
				return err
			}
			if len(page.Imports) == 0 || page.Imports[0].Phase.Ended() {
				return errors.New("no import into this campaign is running")
			}
			var got api.Import
			if _, err := c.call(cmd.Context(), http.MethodPost, "/campaigns/"+args[0]+"/imports/"+page.Imports[0].ImportID.String()+"/cancel",
				api.Order{Reason: reason}, &got); err != nil {
				return err
			}
			return o.print(got, func(t *listing) {
				t.row("import", got.ImportID)
				t.row("phase", got.Phase)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the audit log")
	return cmd
}
