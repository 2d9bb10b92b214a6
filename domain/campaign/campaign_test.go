package campaign

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/domain"
)

var statuses = []Status{Draft, Scheduled, Preflight, Running, Paused, Settling, Done, Stopped, Failed}

func TestWhatMayFollow(t *testing.T) {
	t.Parallel()
	for from, may := range map[Status][]Status{
		Draft:     {Scheduled},
		Scheduled: {Preflight, Paused, Settling, Failed},
		Preflight: {Running, Paused, Settling, Failed},
		Running:   {Preflight, Paused, Settling, Failed},
		Paused:    {Scheduled, Preflight, Running, Settling, Failed},
		Settling:  {Preflight, Running, Paused, Done, Stopped, Failed},
		Done:      {}, Stopped: {}, Failed: {},
	} {
		for _, to := range statuses {
			want := from == to
			for _, m := range may {
				want = want || m == to
			}
			require.Equal(t, want, from.May(to), "%s → %s", from, to)
		}
		require.Equal(t, len(may) == 0, from.Ended(), from)
		require.Equal(t, from != Draft && len(may) > 0, from.Active(), from)
	}
}

func TestOrders(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status   Status
		from, to Gate
		refused  string
	}{
		{Running, GateOpen, GatePaused, ""},
		{Scheduled, GateOpen, GatePaused, ""},
		{Running, GateOpen, GateStopped, ""},
		{Paused, GatePaused, GateStopped, ""},
		{Paused, GatePaused, GateOpen, ""},
		{Paused, GateOpen, GateOpen, ""}, // the preflight paused it, not a person
		{Running, GatePaused, GateOpen, ""},
		{Draft, GateOpen, GatePaused, "cannot pause: the campaign has not been started"},
		{Running, GateOpen, GateOpen, "cannot resume: the campaign is not paused"},
		{Paused, GatePaused, GatePaused, "cannot pause: the campaign is paused already"},
		{Running, GateStopped, GateOpen, "cannot resume: the campaign is being stopped"},
		{Running, GateStopped, GateStopped, "cannot stop: the campaign is being stopped"},
		{Settling, GateOpen, GateStopped, "cannot stop: the campaign has sent everything and waits for receipts"},
		{Done, GateOpen, GatePaused, "cannot pause: the campaign is done"},
		{Stopped, GateStopped, GateOpen, "cannot resume: the campaign is stopped"},
	} {
		err := CheckOrder(c.status, c.from, c.to)
		if c.refused == "" {
			require.NoError(t, err, "%+v", c)
			continue
		}
		require.EqualError(t, err, c.refused)
		require.Equal(t, domain.Conflict, domain.KindOf(err))
		require.Equal(t, "wrong_state", domain.CodeOf(err))
	}
}

func TestAttemptKeys(t *testing.T) {
	t.Parallel()
	a := Attempt{Campaign: uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8057"), Target: 42, N: 3}
	require.Equal(t, "01890a5d-ac96-774b-bcce-b302099a8057/42/3", a.Key())
	back, err := ParseAttempt(a.Key())
	require.NoError(t, err)
	require.Equal(t, a, back)
	for _, key := range []string{"", "x", "a/b/c", a.Key() + "/4", "01890a5d-ac96-774b-bcce-b302099a8057/42", "01890a5d-ac96-774b-bcce-b302099a8057//3"} {
		_, err := ParseAttempt(key)
		require.Error(t, err, key)
	}
}

func TestCountsAddUp(t *testing.T) {
	t.Parallel()
	one := Counts{Targets: 45, Queued: 1, Sending: 2, Sent: 3, Delivered: 4, Read: 5, Failed: 6, OptedOut: 7, Unknown: 8, Cancelled: 9}
	sum := one
	sum.Add(one)
	require.Equal(t, Counts{Targets: 90, Queued: 2, Sending: 4, Sent: 6, Delivered: 8, Read: 10, Failed: 12, OptedOut: 14, Unknown: 16, Cancelled: 18}, sum)
	require.EqualValues(t, 12, one.Accepted())
}

func TestCheckWeight(t *testing.T) {
	t.Parallel()
	for weight, code := range map[int]string{-1: "bad_weight", 0: "bad_weight", 1: "", 100: "", 101: "bad_weight"} {
		if err := CheckWeight(Running, weight); code == "" {
			require.NoError(t, err)
		} else {
			require.Equal(t, code, domain.CodeOf(err))
		}
	}
	require.NoError(t, CheckWeight(Draft, 2))
	require.Equal(t, domain.Conflict, domain.KindOf(CheckWeight(Done, 2)))
}
