package policy

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain"
)

func TestParseCampaigns(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Campaigns{
		`{"approval":"never","max_late":"2h","approval_ttl":"24h"}`:         {ApprovalRule{Rule: ApprovalNever}, Span(2 * time.Hour), Span(24 * time.Hour)},
		`{"approval":"always","max_late":"1m","approval_ttl":"720h"}`:       {ApprovalRule{Rule: ApprovalAlways}, Span(time.Minute), Span(720 * time.Hour)},
		`{"approval":{"above":0},"max_late":"90m","approval_ttl":"1m30s"}`:  {ApprovalRule{Rule: ApprovalAbove}, Span(90 * time.Minute), Span(90 * time.Second)},
		`{"approval":{"above":10000},"max_late":"2h","approval_ttl":"24h"}`: {ApprovalRule{ApprovalAbove, 10_000}, Span(2 * time.Hour), Span(24 * time.Hour)},
	} {
		got, err := ParseCampaigns([]byte(text))
		require.NoError(t, err, text)
		require.Equal(t, want, got)
		again, err := json.Marshal(got)
		require.NoError(t, err)
		require.JSONEq(t, text, string(again))
	}
	for text, code := range map[string]string{
		`{"approval":"sometimes","max_late":"2h","approval_ttl":"24h"}`:           "bad_approval",
		`{"approval":{"above":-1},"max_late":"2h","approval_ttl":"24h"}`:          "bad_approval",
		`{"approval":{"above":1,"below":2},"max_late":"2h","approval_ttl":"24h"}`: "bad_approval",
		`{"approval":{},"max_late":"2h","approval_ttl":"24h"}`:                    "bad_approval",
		`{"approval":true,"max_late":"2h","approval_ttl":"24h"}`:                  "bad_approval",
		`{"approval":"never","max_late":"59s","approval_ttl":"24h"}`:              "bad_duration",
		`{"approval":"never","max_late":"2h","approval_ttl":"721h"}`:              "bad_duration",
		`{"approval":"never","max_late":2,"approval_ttl":"24h"}`:                  "bad_duration",
		`{"approval":"never","max_late":"2h"}`:                                    "missing_field",
		`[]`:                                                                      "bad_json",
	} {
		_, err := ParseCampaigns([]byte(text))
		require.Equal(t, code, domain.CodeOf(err), text)
	}
}

func TestWhatNeedsApproval(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule    ApprovalRule
		targets int64
		want    bool
	}{{ApprovalRule{Rule: ApprovalNever}, 1_000_000, false}, {ApprovalRule{Rule: ApprovalAlways}, 1, true},
		{ApprovalRule{ApprovalAbove, 100}, 100, false}, {ApprovalRule{ApprovalAbove, 100}, 101, true}} {
		require.Equal(t, tt.want, tt.rule.Needed(tt.targets), "%+v", tt)
	}
	require.Equal(t, ApprovalAlways, Defaults().Campaigns.Approval.Rule)
}
