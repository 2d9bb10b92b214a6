package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"lastcall/api"
	"lastcall/config"
	"lastcall/domain/audit"
	"lastcall/store"
)

func auditCommand(sh *shell) *cobra.Command {
	o := newOutput(sh)
	cmd := group(o, "audit", "Verify, sign and export the audit log", auditVerify(o), auditCheckpoint(o), auditExport(o))
	cmd.GroupID = groupCare
	return cmd
}

func auditVerify(o *output) *cobra.Command {
	var v store.Verification
	var file string
	cmd := &cobra.Command{
		Use: "verify", Short: "Find out whether somebody changed the audit log", Args: cobra.NoArgs,
		Long: `Reads the audit log from the database and computes every hash anew: an entry that was edited, deleted, inserted or
cut off is found, and the first bad one named; the exit code is 1 then. It needs nothing but the database: that of
database.url, else that of the lastcall up of the data directory. It begins behind the newest anchor, if the retention
deleted what was before, and holds the chain against the signed checkpoints of the database and of --checkpoint, which
should be a copy from elsewhere. Signatures are checked with the key of audit.key or of the data directory; where
there is none, only whether they fit, which is said. The newest entries, not sealed for up to 2 s, are not protected yet.`,
		Example: `  lastcall audit verify
  lastcall audit verify --checkpoint audit-checkpoints.jsonl --output json
  lastcall audit verify --from 1000 --to 2000`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if v.From < 0 || v.To < 0 || v.To > 0 && v.To < v.From {
				return usageError{errors.New("--from and --to are seqs, from 1, in this order")}
			}
			c, err := o.sh.config()
			if err != nil {
				return err
			}
			url := c.Database.URL.Reveal()
			if url == "" {
				up, err := o.sh.readUpFile()
				if err != nil {
					return fmt.Errorf("no database.url is set, and %w", err)
				}
				url = up.DatabaseURL
			}
			if v.Keys, err = trustedKeys(c); err != nil {
				return err
			}
			if file != "" {
				if v.Checkpoints, err = readCheckpoints(file); err != nil {
					return err
				}
			}
			found, err := store.VerifyAuditAt(cmd.Context(), url, v)
			if err != nil {
				return err
			}
			return o.verdict(found)
		},
	}
	cmd.Flags().Int64Var(&v.From, "from", 0, "the first seq to look at (default the first there is)")
	cmd.Flags().Int64Var(&v.To, "to", 0, "the last seq to look at (default the last there is)")
	cmd.Flags().StringVar(&file, "checkpoint", "", "a file of signed checkpoints, one a line, kept outside the database")
	return cmd
}

// verdict prints what was found, and is an error when it is bad.
func (o *output) verdict(v audit.Verdict) error {
	if err := o.print(v, func(t *listing) {
		t.row("rows", v.Rows)
		t.row("sealed and right", fmt.Sprintf("%s (seq %d to %d)", thousands(v.Sealed), v.From, v.To))
		t.row("not sealed, so not protected yet", v.Unsealed)
		t.row("checkpoints", v.Checkpoints)
		t.row("verdict", map[bool]string{true: "whole", false: "BROKEN"}[v.OK])
	}); err != nil {
		return err
	}
	if !v.KeyKnown {
		o.say("no key is at hand to check signatures with: set audit.key or audit.trusted_keys, or use the data directory of the API")
	}
	if !v.OK {
		return fmt.Errorf("the audit log is broken at seq %d (%s): %s", *v.FirstBadSeq, strings.ReplaceAll(v.Kind, "_", " "), v.Detail)
	}
	return nil
}

func auditCheckpoint(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "checkpoint", Short: "Sign now what the audit log is", Args: cobra.NoArgs,
		Long: `Seals what there is and signs the end of the chain, as happens each hour by itself. It goes to the file of
checkpoints and to the Ops channel. With --output json it prints the line that verify --checkpoint takes.`,
		Example: `  lastcall audit checkpoint
  lastcall audit checkpoint --output json >> /elsewhere/checkpoints.jsonl`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var made api.AuditCheckpoint
			if _, err := c.call(cmd.Context(), http.MethodPost, "/audit/checkpoints", nil, &made); err != nil {
				return err
			}
			return o.print(made, func(t *listing) {
				t.row("entries", made.Size)
				t.row("head", made.Head)
				t.row("time", made.Time)
				t.row("signer", made.Signer)
			})
		},
	}
}

const auditKeyFile = "audit.key"

// auditKeeper is what looks after the audit log, with the key that is configured or kept in the data directory.
func auditKeeper(c *config.Config, st *store.Store, log *slog.Logger) (*store.AuditKeeper, error) {
	key, err := auditKey(c)
	if errors.Is(err, fs.ErrNotExist) {
		key, err = makeAuditKey(c.DataDir)
	}
	if err != nil {
		return nil, fmt.Errorf("the audit log's key: %w", err)
	}
	trusted, err := parseKeys(c.Audit.TrustedKeys)
	if err != nil {
		return nil, err
	}
	path := checkpointFile(c)
	return &store.AuditKeeper{Store: st, Trusted: trusted, RetentionDays: c.Audit.RetentionDays, Log: log,
		Notary: store.Notary{Key: key, Origin: c.API.PublicURL, Append: func(line []byte) error { return appendTo(path, line) }}}, nil
}

// auditKey is the configured key, else that of the data directory; fs.ErrNotExist if there is none.
func auditKey(c *config.Config) (audit.Key, error) {
	text := c.Audit.Key.Reveal()
	if text == "" {
		content, err := os.ReadFile(filepath.Join(c.DataDir, auditKeyFile))
		if err != nil {
			return audit.Key{}, err
		}
		text = strings.TrimSpace(string(content))
	}
	seed, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return audit.Key{}, errors.New("is damaged") // the error might quote it
	}
	return audit.NewKey(seed)
}

// makeAuditKey makes a key and keeps it. Of two processes that do so at once, one wins.
func makeAuditKey(dir string) (audit.Key, error) {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // never fails
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return audit.Key{}, err
	}
	f, err := os.CreateTemp(dir, auditKeyFile)
	if err != nil {
		return audit.Key{}, err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.WriteString(base64.StdEncoding.EncodeToString(seed) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return audit.Key{}, err
	}
	if err := os.Link(f.Name(), filepath.Join(dir, auditKeyFile)); err != nil && !errors.Is(err, fs.ErrExist) {
		return audit.Key{}, err
	}
	return auditKey(&config.Config{DataDir: dir})
}

// trustedKeys are the public keys that signatures are checked with; none if no key is at hand.
func trustedKeys(c *config.Config) ([]ed25519.PublicKey, error) {
	keys, err := parseKeys(c.Audit.TrustedKeys)
	if err != nil {
		return nil, err
	}
	own, err := auditKey(c)
	switch {
	case err == nil:
		keys = append(keys, own.Public())
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("the audit log's key: %w", err)
	}
	return keys, nil
}

func parseKeys(texts []string) (keys []ed25519.PublicKey, err error) {
	for _, text := range texts {
		key, err := audit.ParsePublicKey(text)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func checkpointFile(c *config.Config) string {
	if c.Audit.CheckpointFile != "" {
		return c.Audit.CheckpointFile
	}
	return filepath.Join(c.DataDir, "audit-checkpoints.jsonl")
}

// appendTo adds a line to a file and returns when the disk has it.
func appendTo(path string, line []byte) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(line)
	return errors.Join(err, f.Sync(), f.Close())
}

func readCheckpoints(path string) ([]audit.Checkpoint, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	all, err := audit.ReadCheckpoints(f)
	if err == nil && len(all) == 0 {
		err = errors.New("it holds no checkpoint")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return all, nil
}
