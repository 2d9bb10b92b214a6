package delivery_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"lastcall/domain/delivery"
)

func TestLookup(t *testing.T) {
	t.Parallel()
	type want struct {
		scope delivery.Scope
		then  delivery.Then
	}
	groups := map[want][]int{
		{delivery.Rate, delivery.Again}:       {130429, 4, 80007},
		{delivery.Pair, delivery.Again}:       {131056},
		{delivery.Number, delivery.Again}:     {131057},
		{delivery.Provider, delivery.Again}:   {131016},
		{delivery.Provider, delivery.Unsure}:  {1, 2, 131000},
		{delivery.User, delivery.Final}:       {131026, 130472, 131047, 131049, 131050},
		{delivery.Template, delivery.Final}:   {132001, 132007, 132015, 132016},
		{delivery.Parameters, delivery.Final}: {132000, 132005, 132008, 132012, 131053},
		{delivery.Number, delivery.Final}:     {131048, 133000, 133016, 133999},
		{delivery.Account, delivery.Final}:    {0, 3, 10, 190, 200, 299, 131005, 368, 131031, 131042, 130497, 131064},
		{"", delivery.Final}:                  {-1, 5, 199, 300, 132999, 134000, 999999},
	}
	for want, codes := range groups {
		for _, code := range codes {
			e := delivery.Lookup(code)
			require.Equal(t, want.scope, e.Scope, code)
			require.Equal(t, want.then, e.Then, code)
			require.NotEmpty(t, e.Meaning, code)
			require.NotEmpty(t, e.Advice, code)
		}
	}
}

// The catalogue is in order, without overlap, and no two codes of one kind contradict what the scopes promise.
func TestCatalogue(t *testing.T) {
	t.Parallel()
	last := -1
	for _, e := range delivery.Catalogue() {
		require.Greater(t, e.First, last)
		require.GreaterOrEqual(t, e.Last, e.First)
		last = e.Last
		require.Contains(t, []delivery.Scope{delivery.Rate, delivery.Pair, delivery.User, delivery.Template, delivery.Parameters,
			delivery.Number, delivery.Account, delivery.Provider}, e.Scope)
		require.Regexp(t, `^[a-zW][^.]*$`, e.Meaning, "goes into the middle of a sentence: %d", e.First)
		require.Regexp(t, `^[A-Z].*\.$`, e.Advice, "is sentences of its own: %d", e.First)
	}
	first := delivery.Catalogue()
	first[0].Meaning = "changed"
	require.NotEqual(t, "changed", delivery.Lookup(0).Meaning, "the catalogue is nobody's to change")
}

func TestDiagnose(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		reason  string
		code    int
		meaning string
		scope   delivery.Scope
	}{
		{"provider_refused", 131026, "not on WhatsApp", delivery.User},
		{"provider_refused", 0, "access token", delivery.Account}, // the provider's code 0 is stored as none
		{"provider_refused", 777, "code 777", ""},
		{"provider_failed", 0, "could not deliver it", delivery.Provider},
		{"worker_lost", 0, "worker was lost", delivery.Provider},
		{"missing_variable", 0, "value that the template needs", delivery.Parameters},
		{"retries_exhausted", 131016, "never took it, for the last time because WhatsApp is overloaded", delivery.Provider},
		{"retries_exhausted", 0, "never took it", delivery.Provider},
		{"channel_suspended", 0, "channel was suspended", delivery.Number},
		{"template_suspended", 132015, "paused", delivery.Template},
		{"some_new_reason", 0, "some new reason", ""},
	} {
		d := delivery.Diagnose(tt.reason, tt.code)
		require.Contains(t, d.Meaning, tt.meaning)
		require.Equal(t, tt.scope, d.Scope)
	}
}
