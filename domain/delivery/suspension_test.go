package delivery_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lastcall/domain/delivery"
)

func TestCauses(t *testing.T) {
	t.Parallel()
	for cause, codes := range map[delivery.Cause][]int{
		delivery.Access:       {0, 3, 10, 190, 200, 299, 131005},
		delivery.Standing:     {368, 130497, 131031, 131042, 131064},
		delivery.Spam:         {131048},
		delivery.Registration: {133000, 133016},
	} {
		for _, code := range codes {
			got, ok := delivery.SuspendsChannel(code)
			require.True(t, ok, code)
			require.Equal(t, cause, got, code)
			require.True(t, cause.NeedsHuman())
			require.Contains(t, delivery.ChannelWhy("whatsapp", cause, code, ""), delivery.Lookup(code).Advice)
		}
	}
	for _, code := range []int{1, 4, 131016, 131026, 131056, 131057, 132015, 999999} {
		_, ok := delivery.SuspendsChannel(code)
		require.False(t, ok, code)
	}
	require.False(t, delivery.Trouble.NeedsHuman())
	require.Contains(t, delivery.ChannelWhy("whatsapp", delivery.ByOperator, 0, "wrong price"), "an operator suspended it (wrong price)")
}

// Waits grow from First to Most and never leave these bounds.
func TestLadder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 1000).Draw(t, "failures")
		wait := delivery.DefaultLadders.Wait(delivery.Access, n)
		floor := min(time.Minute<<min(n-1, 10), time.Hour)
		if wait < floor || wait > min(floor*3/2, time.Hour) {
			t.Fatalf("after %d failures %v", n, wait)
		}
	})
	require.Less(t, delivery.DefaultLadders.Wait(delivery.Trouble, 1), 8*time.Second)
	for _, c := range []delivery.Cause{delivery.Spam, delivery.Registration, delivery.ByOperator} {
		require.Zero(t, delivery.DefaultLadders.Wait(c, 1), "only by hand")
	}
	require.Equal(t, []time.Duration{3 * time.Hour, 6 * time.Hour, 6 * time.Hour},
		[]time.Duration{delivery.TemplatePause(1), delivery.TemplatePause(2), delivery.TemplatePause(9)})
}

func TestTemplateWords(t *testing.T) {
	t.Parallel()
	require.Equal(t, "template promo in rw-RW is paused by WhatsApp because its quality is low (WhatsApp's code 132015)",
		delivery.TemplateWhy("promo", "rw-RW", delivery.TemplatePaused, 132015, ""))
	require.Equal(t, "template promo was deleted at WhatsApp", delivery.TemplateWhy("promo", "", delivery.TemplateDeleted, 0, ""))
	require.Equal(t, "template promo is not approved by WhatsApp (INVALID_FORMAT)", delivery.TemplateWhy("promo", "", delivery.TemplateRejected, 0, "INVALID_FORMAT"))
	for _, s := range []delivery.TemplateState{delivery.TemplatePaused, delivery.TemplateDisabled, delivery.TemplateRejected, delivery.TemplateDeleted} {
		require.NotEmpty(t, delivery.TemplateAdvice(s))
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	var inRow delivery.Watch
	for i := range 19 {
		require.False(t, inRow.Saw(true), i)
	}
	require.False(t, inRow.Saw(false), "one good end, and it begins anew")
	for range 19 {
		require.False(t, inRow.Saw(true))
	}
	require.True(t, inRow.Saw(true))
	require.False(t, inRow.Saw(true), "told once")

	half := func(badOf10 int) (tripped bool) {
		var w delivery.Watch
		for i := range 1000 {
			tripped = w.Saw(i%10 < badOf10) || tripped
		}
		return tripped
	}
	require.True(t, half(5))
	require.False(t, half(4), "less than half, and never twenty in a row")
}

// TestPaceFindsTheRate plays a provider that takes 100 a second, and a sender that could do 10,000.
func TestPaceFindsTheRate(t *testing.T) {
	t.Parallel()
	var p delivery.Pace
	now := time.Unix(1_800_000_000, 0)
	end := now.Add(60 * time.Second)
	second, inSecond, taken, refused, claims := int64(0), 0, 0, 0, 0
	for now.Before(end) {
		n, wait := p.May(500, now)
		if n == 0 {
			require.Positive(t, wait)
			now = now.Add(wait)
			continue
		}
		claims++
		began := now
		for range n {
			now = now.Add(100 * time.Microsecond)
			if now.Unix() != second {
				second, inSecond = now.Unix(), 0
			}
			if p.Paused(now) {
				break
			}
			if inSecond++; inSecond <= 100 {
				taken++
				p.Took(1, now)
				continue
			}
			refused++
			p.TooFast(began, now)
		}
	}
	require.Greater(t, taken, 60*60, "it uses most of what there is")
	require.Less(t, refused, 60, "and hits the wall seldom")
	require.Less(t, claims, 60*30, "with claims that are worth their cost")
}

func TestPaceWithoutComplaint(t *testing.T) {
	t.Parallel()
	var p delivery.Pace
	now := time.Unix(1_800_000_000, 0)
	n, wait := p.May(500, now)
	require.Equal(t, 500, n)
	require.Zero(t, wait)
	require.False(t, p.Paused(now))
	p.Took(500, now)
	pause := p.TooFast(now, now)
	require.GreaterOrEqual(t, pause, 250*time.Millisecond)
	require.LessOrEqual(t, pause, 375*time.Millisecond)
	require.Zero(t, p.TooFast(now.Add(-time.Second), now), "that began before: no news")
	require.True(t, p.Paused(now))
	n, _ = p.May(1000, now.Add(11*time.Minute))
	require.Equal(t, 1000, n, "forgotten")
}
