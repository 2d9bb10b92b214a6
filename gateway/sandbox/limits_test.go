package sandbox

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lastcall/gateway/whatsapp"
)

// code sends one message and returns the provider's error code, 0 when it was taken.
func (w world) code(to string) int {
	w.t.Helper()
	_, err := w.client.Send(w.t.Context(), newMessage(to, "c/"+to+"/1"))
	if err == nil {
		return 0
	}
	var refused *whatsapp.APIError
	require.ErrorAs(w.t, err, &refused)
	return refused.Code
}

func TestLimits(t *testing.T) {
	t.Parallel()
	const a, b, c = "+250788000001", "+250788000002", "+250788000003"
	for name, one := range map[string]struct {
		settings string
		to       []string
		want     []int
	}{
		"off":                         {`{}`, []string{a, a, a, b}, []int{0, 0, 0, 0}},
		"pair":                        {`{"pair_interval_ms":86400000}`, []string{a, a, b, b}, []int{0, 131056, 0, 131056}},
		"pair with a burst":           {`{"pair_interval_ms":86400000,"pair_burst":3}`, []string{a, a, a, a, b}, []int{0, 0, 0, 131056, 0}},
		"tier":                        {`{"tier_recipients":2}`, []string{a, b, c, a, b, c}, []int{0, 0, 131048, 0, 0, 131048}},
		"tier with its own code":      {`{"tier_recipients":1,"tier_code":130497}`, []string{a, b}, []int{0, 130497}},
		"a refused one counts for no": {`{"tier_recipients":1,"pair_interval_ms":86400000}`, []string{a, b, a, b}, []int{0, 131048, 131056, 131048}},
		"everybody capped":            {`{"user_capped":1}`, []string{a, b}, []int{131049, 131049}},
		"everybody stopped":           {`{"user_stopped":1,"user_capped":1}`, []string{a, b}, []int{131050, 131050}},
		"all on, none in the way":     {`{"rate_per_second":1000,"pair_interval_ms":1,"pair_burst":10,"tier_recipients":10}`, []string{a, b, c}, []int{0, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, Config{})
			w.set(one.settings)
			got, taken := []int{}, int64(0)
			for _, to := range one.to {
				code := w.code(to)
				got = append(got, code)
				if code == 0 {
					taken++
				}
			}
			require.Equal(t, one.want, got)
			require.Equal(t, taken, w.stats().Received)
		})
	}
}

// Whatever the requests, in no second beginning anywhere are there more than the rate, and no message is
// refused while there is room.
func TestRateProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		rate := rapid.Int64Range(1, 8).Draw(rt, "rate")
		gaps := rapid.SliceOfN(rapid.Int64Range(0, 400), 1, 80).Draw(rt, "gaps, ms")
		synctest.Test(t, func(t *testing.T) {
			l := limitsOf(t, limitSettings{RatePerSecond: rate})
			var taken []time.Time
			for _, gap := range gaps {
				time.Sleep(time.Duration(gap) * time.Millisecond)
				within := int64(0)
				for _, at := range taken {
					if time.Since(at) < time.Second {
						within++
					}
				}
				refused := l.refuse("+250788000001")
				require.Equal(t, within >= rate, refused != nil)
				if refused == nil {
					taken = append(taken, time.Now())
				} else {
					require.Equal(t, 130429, refused.code)
				}
			}
		})
	})
}

// Exactly the rate is taken even when many ask at once.
func TestRateAtOnce(t *testing.T) {
	t.Parallel()
	w := start(t, Config{})
	w.set(`{"rate_per_second":20}`)
	var taken, refused atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	for i := range 100 {
		wg.Go(func() {
			_, err := w.client.Send(t.Context(), newMessage(fmt.Sprintf("+2507880%05d", i), "k"))
			switch whatsapp.Classify(err) {
			case whatsapp.Sent:
				taken.Add(1)
			case whatsapp.Retry:
				refused.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 100, taken.Load()+refused.Load())
	require.GreaterOrEqual(t, taken.Load(), int64(20))
	require.LessOrEqual(t, taken.Load(), 20*(1+int64(time.Since(began)/time.Second)))
	require.Equal(t, taken.Load(), w.stats().Received)
}

func TestPairRecovers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limitsOf(t, limitSettings{PairIntervalMS: 6000, PairBurst: 3})
		taken := func(to string) int {
			n := 0
			for l.refuse(to) == nil {
				n++
			}
			return n
		}
		require.Equal(t, 3, taken("+250788000001"))
		time.Sleep(6*time.Second - 1)
		require.Zero(t, taken("+250788000001"))
		require.Equal(t, 3, taken("+250788000002"))
		time.Sleep(time.Nanosecond)
		require.Equal(t, 1, taken("+250788000001"), "one an interval")
		time.Sleep(time.Hour)
		require.Equal(t, 3, taken("+250788000001"), "no more than the burst is saved up")

		for i := range 5000 {
			require.Nil(t, l.refuse(fmt.Sprintf("+25078%07d", i)))
			time.Sleep(time.Second)
		}
		require.Less(t, len(l.pairs), 1100, "who no longer waits is forgotten")
	})
}

func TestTierMoves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limitsOf(t, limitSettings{TierRecipients: 2, TierCode: 131048})
		require.Nil(t, l.refuse("+250788000001"))
		time.Sleep(time.Hour)
		require.Nil(t, l.refuse("+250788000002"))
		require.NotNil(t, l.refuse("+250788000003"))
		time.Sleep(22 * time.Hour)
		require.Nil(t, l.refuse("250788000001"), "again, which counts from now; the + makes no other recipient")
		time.Sleep(time.Hour)
		require.NotNil(t, l.refuse("+250788000003"), "the first got one an hour ago")
		time.Sleep(time.Hour)
		require.Nil(t, l.refuse("+250788000003"), "the second is out of the 24 hours")
		require.NotNil(t, l.refuse("+250788000002"))
		require.LessOrEqual(t, l.tier.seen.len(), 3)
	})
}

// The tier counts what was sent before it was switched on, and before a restart, but nothing deleted.
func TestTierRemembers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	long := time.Now().Add(-25 * time.Hour).UTC().Format(timeFormat)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "messages.jsonl"), []byte(`{"next_id":1}
{"id":1,"received_at":"`+long+`","message_id":"wamid.1","to":"+250788000009"}
`), 0o600))
	w := start(t, Config{Dir: dir})
	require.Zero(t, w.code("+250788000001"))
	w.set(`{"tier_recipients":2}`)
	require.Zero(t, w.code("+250788000002"), "the one of yesterday counts no more")
	require.Equal(t, 131048, w.code("+250788000003"))
	w.stop()
	again := start(t, Config{Dir: dir})
	require.Equal(t, 131048, again.code("+250788000003"))
	require.Zero(t, again.code("+250788000001"))
	again.do(http.MethodDelete, "/inbox", "")
	require.Zero(t, again.code("+250788000003"))
	again.set(`{"tier_recipients":0}`)
	require.False(t, again.limits.on.Load(), "off costs nothing")
}

// The share of users comes out right, and it is always the same ones.
func TestUserShares(t *testing.T) {
	t.Parallel()
	const users = 20_000
	s := limitSettings{UserCapped: 0.2, UserStopped: 0.1}
	counts := map[int]float64{}
	for i := range users {
		digits := fmt.Sprintf("25078%07d", i)
		code := s.userCode(digits)
		require.Equal(t, code, s.userCode(digits))
		counts[code] += 1.0 / users
	}
	require.InDelta(t, 0.2, counts[131049], 0.01)
	require.InDelta(t, 0.1, counts[131050], 0.01)
	require.Len(t, counts, 3)
}

// limitsOf needs no files: nothing was ever sent.
func limitsOf(t *testing.T, s limitSettings) *limits {
	t.Helper()
	var l limits
	require.NoError(t, l.set(settings{limitSettings: s}, &journal{first: 1}))
	return &l
}
