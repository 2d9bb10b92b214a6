package throttle_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain/policy"
	"lastcall/domain/throttle"
)

// calm is a pilot of which nobody complained: 200 messages at a cap of 60 a minute that was never near.
func calm() throttle.Figures {
	return throttle.Figures{Caps: policy.Cap{PerMinute: 60, PerSecond: 20, Tier: 250, PairSeconds: 6}, Sent: 200, Delivered: 196,
		BusiestMinute: 20, BusiestSecond: 5, BusiestDay: 40}
}

func with(change func(*throttle.Figures)) throttle.Figures {
	f := calm()
	change(&f)
	return f
}

func of(t *testing.T, f throttle.Figures, s throttle.Setting) throttle.Proposal {
	t.Helper()
	for _, p := range throttle.Advise(f) {
		if p.Setting == s {
			return p
		}
	}
	t.Fatalf("no advice about %s", s)
	return throttle.Proposal{}
}

func TestWhatTheFiguresSay(t *testing.T) {
	t.Parallel()
	unlimited := func(f *throttle.Figures) { f.Caps = policy.Cap{PerMinute: 6_000_000} }
	full := func(f *throttle.Figures) { f.BusiestMinute, f.Waits, f.FullMinutes = 59, 7, 12 }
	for name, c := range map[string]struct {
		figures  throttle.Figures
		setting  throttle.Setting
		verdict  throttle.Verdict
		proposed int
		why      string
	}{
		"calm: the minute stays":               {calm(), throttle.PerMinute, throttle.Keep, 60, "had 20 of 60"},
		"calm: the second stays":               {calm(), throttle.PerSecond, throttle.Keep, 20, "had 5 of 20"},
		"calm: the tier stays":                 {calm(), throttle.Tier, throttle.Keep, 250, "busiest 24 hours had 40"},
		"calm: the pause stays":                {calm(), throttle.PairSeconds, throttle.Keep, 6, "refused 0 of 200"},
		"stopped stays stopped":                {with(func(f *throttle.Figures) { f.Caps.PerMinute = 0 }), throttle.PerMinute, throttle.Keep, 0, "stopped"},
		"refused: less than went":              {with(func(f *throttle.Figures) { f.RateErrors = 3; f.BusiestMinute = 50 }), throttle.PerMinute, throttle.Tighten, 40, "refused 3 of 203 messages"},
		"one in a hundred is refused":          {with(func(f *throttle.Figures) { f.Sent, f.RateErrors, f.BusiestMinute = 198, 2, 50 }), throttle.PerMinute, throttle.Tighten, 40, "1.0 %"},
		"fewer than one in a hundred":          {with(func(f *throttle.Figures) { f.RateErrors = 1 }), throttle.PerMinute, throttle.Keep, 60, ""},
		"refused, and low enough":              {with(func(f *throttle.Figures) { f.RateErrors = 3; f.BusiestMinute = 90 }), throttle.PerMinute, throttle.Keep, 60, "below"},
		"refused: a second's cap as well":      {with(func(f *throttle.Figures) { f.RateErrors = 3; f.Caps.PerSecond = 0; f.BusiestSecond = 30 }), throttle.PerSecond, throttle.Tighten, 24, "four fifths"},
		"refused at one a second":              {with(func(f *throttle.Figures) { f.RateErrors = 3; f.BusiestSecond = 1 }), throttle.PerSecond, throttle.Tighten, 1, ""},
		"nothing has shown so much a minute":   {with(unlimited), throttle.PerMinute, throttle.Tighten, 4800, "80 a second"},
		"nothing has shown so much a second":   {with(unlimited), throttle.PerSecond, throttle.Tighten, 80, "one second"},
		"a second of a small minute":           {with(func(f *throttle.Figures) { f.Caps.PerSecond = 0 }), throttle.PerSecond, throttle.Keep, 0, "no more than WhatsApp takes"},
		"an upgraded number is believed":       {with(func(f *throttle.Figures) { unlimited(f); f.BusiestMinute = 40_000 }), throttle.PerMinute, throttle.Tighten, 50_000, ""},
		"in the way: more":                     {with(full), throttle.PerMinute, throttle.Loosen, 90, "waited for permits 7 times"},
		"full, but nobody waited":              {with(func(f *throttle.Figures) { full(f); f.Waits = 0 }), throttle.PerMinute, throttle.Keep, 60, ""},
		"in the way, at what a number takes":   {with(func(f *throttle.Figures) { f.Caps.PerMinute, f.BusiestMinute, f.Waits = 4800, 4800, 1 }), throttle.PerMinute, throttle.Loosen, 6000, ""},
		"in the way, but little arrives":       {with(func(f *throttle.Figures) { full(f); f.Delivered = 170 }), throttle.PerMinute, throttle.Keep, 60, "85.0 % of 200 messages arrive"},
		"in the way, but people leave":         {with(func(f *throttle.Figures) { full(f); f.OptOuts = 5 }), throttle.PerMinute, throttle.Keep, 60, "5 people opted out within 48 hours"},
		"in the way, and two in a hundred":     {with(func(f *throttle.Figures) { full(f); f.OptOuts = 4 }), throttle.PerMinute, throttle.Loosen, 90, ""},
		"in the way, but reported":             {with(func(f *throttle.Figures) { full(f); f.SpamErrors = 1 }), throttle.PerMinute, throttle.Keep, 60, "blocked or reported"},
		"people leave: no more than tried":     {with(func(f *throttle.Figures) { f.OptOuts = 5; f.Caps.Tier = 10_000; f.BusiestDay = 251 }), throttle.Tier, throttle.Tighten, 2000, "2.5 %"},
		"people leave, without a tier":         {with(func(f *throttle.Figures) { f.OptOuts = 5; f.Caps.Tier = 0 }), throttle.Tier, throttle.Tighten, 250, ""},
		"people leave, and the tier is there":  {with(func(f *throttle.Figures) { f.OptOuts = 5 }), throttle.Tier, throttle.Keep, 250, "no more than were tried"},
		"people leave beyond the ladder":       {with(func(f *throttle.Figures) { f.OptOuts = 5; f.Caps.Tier = 0; f.BusiestDay = 200_000 }), throttle.Tier, throttle.Keep, 0, ""},
		"the tier is in the way":               {with(func(f *throttle.Figures) { f.Waits = 2; f.BusiestDay = 249 }), throttle.Tier, throttle.Loosen, 2000, "Manager"},
		"the tier is in the way, few arrive":   {with(func(f *throttle.Figures) { f.Waits = 2; f.BusiestDay = 249; f.Delivered = 10 }), throttle.Tier, throttle.Keep, 250, "5.0 %"},
		"too soon to one person":               {with(func(f *throttle.Figures) { f.PairErrors = 3; f.Caps.PairSeconds = 0 }), throttle.PairSeconds, throttle.Tighten, 6, "3 of 203"},
		"too soon to one person all the same":  {with(func(f *throttle.Figures) { f.PairErrors = 3 }), throttle.PairSeconds, throttle.Tighten, 12, "not enough"},
		"the longest pause that there is":      {with(func(f *throttle.Figures) { f.PairErrors = 3; f.Caps.PairSeconds = 3000 }), throttle.PairSeconds, throttle.Tighten, 3600, ""},
		"refusals count where nothing arrived": {with(func(f *throttle.Figures) { f.Sent, f.Delivered, f.RateErrors, f.BusiestMinute = 0, 0, 50, 50 }), throttle.PerMinute, throttle.Tighten, 40, "100.0 %"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := of(t, c.figures, c.setting)
			require.Equal(t, c.verdict, p.Verdict, p.Reasons)
			require.NotNil(t, p.Proposed)
			require.Equal(t, c.proposed, *p.Proposed, p.Reasons)
			require.Equal(t, c.figures.Tried(), p.N)
			require.NotEmpty(t, p.Reasons)
			require.Contains(t, strings.Join(p.Reasons, "; "), c.why)
		})
	}
}

func TestOfTooFewNothingIsKnown(t *testing.T) {
	t.Parallel()
	few := with(func(f *throttle.Figures) { f.Sent, f.RateErrors, f.OptOuts = throttle.Enough-2, 1, 30 })
	for _, p := range throttle.Advise(few) {
		require.Equal(t, throttle.Unknown, p.Verdict)
		require.Nil(t, p.Proposed)
		require.Equal(t, []string{"49 messages were handed to WhatsApp; 50 are needed to know"}, p.Reasons)
	}
	require.Equal(t, few.Caps, throttle.Apply(few.Caps, throttle.Advise(few)), "what is unknown changes nothing")
	for _, f := range few.Told() {
		require.Nil(t, f.Share, f.Name)
	}
	few.Sent++
	require.NotEqual(t, throttle.Unknown, of(t, few, throttle.PerMinute).Verdict)
}

// Who does what is proposed is not told to go on and on.
func TestWhatWasTightenedIsTightEnough(t *testing.T) {
	t.Parallel()
	f := with(func(f *throttle.Figures) {
		f.Caps = policy.Cap{PerMinute: 6_000_000, Tier: 100_000}
		f.RateErrors, f.OptOuts, f.PairErrors, f.BusiestMinute, f.BusiestSecond = 9, 20, 0, 120, 60
	})
	before := throttle.Advise(f)
	require.Equal(t, []throttle.Setting{throttle.PerMinute, throttle.PerSecond, throttle.Tier}, throttle.Tightens(before))
	f.Caps = throttle.Apply(f.Caps, before)
	require.Equal(t, policy.Cap{PerMinute: 96, PerSecond: 48, Tier: 250}, f.Caps)
	require.Empty(t, throttle.Tightens(throttle.Advise(f)))
}

func TestTheDigestIsOfWhatIsProposed(t *testing.T) {
	t.Parallel()
	digest := func(f throttle.Figures) []byte { return throttle.Digest(time.Unix(0, 0), f.Caps, throttle.Advise(f)) }
	require.Equal(t, digest(calm()), digest(with(func(f *throttle.Figures) { f.Sent++ })), "one more message changes no proposal")
	require.NotEqual(t, digest(calm()), digest(with(func(f *throttle.Figures) { f.PairErrors = 9 })))
	require.NotEqual(t, digest(calm()), digest(with(func(f *throttle.Figures) { f.Caps.PerMinute = 61 })))
	require.NotEqual(t, digest(calm()), throttle.Digest(time.Unix(1, 0), calm().Caps, throttle.Advise(calm())), "another pilot")
}
