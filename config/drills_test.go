package config_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/config"
	"lastcall/domain/drill"
)

func TestTheScenariosAreSound(t *testing.T) {
	t.Parallel()
	all, err := config.Drills()
	require.NoError(t, err)
	names := []string{}
	for _, s := range all {
		names = append(names, s.Name)
		require.NoError(t, s.Hastened().Check(), s.Name)
	}
	require.Equal(t, []string{"dispatcher-down", "messaging-outage", "ops-channel-down", "rate-limit-storm", "slow-provider", "voucher-card-outage"}, names)
	outage, err := drill.Find(all, "messaging-outage")
	require.NoError(t, err)
	require.Len(t, outage.Expect, len(drill.Events), "it proves the whole loop")
	require.Less(t, time.Duration(outage.Fast.FaultFor), 3*time.Minute, "and fast within three minutes")
}
