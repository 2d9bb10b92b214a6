package store

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm/schema"
)

// models are all GORM models; TestModelsMatchSchema holds each against the migrated tables.
var models = []any{&Account{}, &APIToken{}, &Approval{}, &ApprovalRequest{}, &AuditEntry{}, &Bar{}, &Campaign{}, &ChannelState{}, &Cohort{}, &Contact{}, &Import{}, &ImportLine{}, &Invitation{}, &OptOut{},
	&OutboxMessage{}, &Override{}, &Session{}, &SettingsRevision{}, &Station{}, &Target{}, &TargetEvent{}, &Template{}, &TemplateListing{}, &TemplateState{}, &TemplateTest{}, &Webhook{}, &Worker{}}

// ModelColumns returns, for the external test, each model's table and columns: name → may be null.
func ModelColumns(t *testing.T) map[string]map[string]bool {
	tables := map[string]map[string]bool{}
	for _, m := range models {
		parsed, err := schema.Parse(m, &sync.Map{}, schema.NamingStrategy{})
		require.NoError(t, err)
		columns := map[string]bool{}
		for _, f := range parsed.Fields {
			if f.DBName != "" {
				kind := f.FieldType.String()
				columns[f.DBName] = strings.HasPrefix(kind, "*") || strings.HasPrefix(kind, "[]") || strings.HasSuffix(kind, "RawMessage") ||
					strings.HasSuffix(kind, "DeletedAt")
			}
		}
		tables[parsed.Table] = columns
	}
	return tables
}

// NobodysHash is what is compared where there is no account.
var NobodysHash = nobodysHash

// Prune is what the relay does every hour.
func Prune(s *Store, ctx context.Context) error { return s.prune(ctx) }

// ApplyTestReceipts is what the applier does with the receipts of template tests.
func ApplyTestReceipts(ctx context.Context, s *Store, all ...TestReceipt) error {
	return s.inTx(ctx, func(tx *Tx) error { return tx.applyTestReceipts(all) })
}

// Apply is what an applier does when it wakes.
func Apply(ctx context.Context, a *Applier) error {
	_, err := a.apply(ctx)
	return err
}
