package runbook

import (
	"testing"

	"github.com/stretchr/testify/require"

	"lastcall/domain"
)

const book = "# Mail fails\n\nFor when mail\nfails.\n\n## Find out\n\n1. Look at it.\n2. Look again. {run: recheck mail}\n\nThen:\n\n```\nlastcall alerts list\nlastcall alerts test\n```\n\n3. Stop. {run: pause-all-campaigns}\n"

func TestParse(t *testing.T) {
	t.Parallel()
	b, err := Parse("mail", []byte(book))
	require.NoError(t, err)
	require.Equal(t, "Mail fails", b.Title)
	require.Equal(t, "For when mail fails.", b.Lead)
	require.Equal(t, []Step{{1, "Look at it.", nil}, {2, "Look again.", &Run{Recheck, "mail"}}, {3, "Stop.", &Run{PauseAllCampaigns, ""}}}, b.Steps)
	require.Equal(t, []Block{{Kind: "heading", Text: "Find out"}, {Kind: "step", Step: 1}, {Kind: "step", Step: 2}, {Kind: "text", Text: "Then:"},
		{Kind: "code", Text: "lastcall alerts list\nlastcall alerts test"}, {Kind: "step", Step: 3}}, b.Blocks)
	again, err := Parse("mail", []byte(book+"\nMore.\n"))
	require.NoError(t, err)
	require.NotEqual(t, b.Digest, again.Digest)
	_, err = b.Step(4)
	require.Equal(t, "step_not_found", domain.CodeOf(err))
}

func TestBadRunbooks(t *testing.T) {
	t.Parallel()
	for text, where := range map[string]string{
		"Mail fails\n\nWhen.\n\n1. Look.":                       "mail:1",
		"# Mail\n\nWhen.\n\n1. Look.\n3. Look.":                 "mail:6",
		"# Mail\n\nWhen.\n\n1. Look. {run: dance}":              "mail:5",
		"# Mail\n\nWhen.\n\n1. Look. {run: void-voucher mail}":  "mail:5",
		"# Mail\n\nWhen.\n\n1. Look {run: recheck mail} again.": "mail:5",
		"# Mail\n\nWhen.\n\n1. Look.\n   at it {run: recheck}":  "mail:6",
		"# Mail\n\nWhen.\n\n1. Look.\n\n```\nlastcall":          "mail:8",
		"# Mail\n\nWhen.":    "mail",
		"# Mail\n\n1. Look.": "mail",
	} {
		_, err := Parse("mail", []byte(text))
		require.Equal(t, "bad_runbook", domain.CodeOf(err), text)
		require.Contains(t, err.Error(), where+":", text)
	}
}
