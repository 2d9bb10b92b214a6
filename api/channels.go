package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"lastcall/domain/access"
	"lastcall/domain/delivery"
	"lastcall/store"
)

// Channel is how a channel stands: a circuit breaker.
type Channel struct {
	Name        string         `json:"name"`
	State       string         `json:"state" enum:"closed,open,half_open" doc:"closed: messages go; open: it is suspended; half_open: suspended, and being tried"`
	Cause       delivery.Cause `json:"cause,omitempty" enum:"trouble,access,account,spam,registration,operator"`
	Code        int            `json:"code,omitempty" doc:"The provider's"`
	Why         string         `json:"why,omitempty" doc:"The same for people, with what to do about it"`
	NeedsHuman  bool           `json:"needs_human,omitempty" doc:"Somebody has to mend something"`
	Failures    int            `json:"failures,omitempty" doc:"How often it was suspended in a row"`
	OpenedAt    *time.Time     `json:"opened_at,omitempty" doc:"Absent: it is not suspended"`
	RetryAt     *time.Time     `json:"retry_at,omitempty" doc:"When it is tried by itself; absent: only by hand"`
	SlowedUntil *time.Time     `json:"slowed_until,omitempty" doc:"The provider asked for a pause"`
}

// Channels are all channels.
type Channels struct {
	Channels []Channel `json:"channels"`
}

// ChannelUse is how much of a channel's limits is used now, as its permits say.
type ChannelUse struct {
	PerMinute  int64 `json:"per_minute" doc:"The limit of any minute; 0: the channel is stopped"`
	UsedMinute int64 `json:"used_minute"`
	PerSecond  int64 `json:"per_second" doc:"The limit of any second; 0: none"`
	UsedSecond int64 `json:"used_second" doc:"0 without a limit"`
	Tier       int64 `json:"tier" doc:"Recipients in any 24 hours; 0: no limit"`
	UsedTier   int64 `json:"used_tier" doc:"0 without a limit"`
	Wanting    int64 `json:"wanting" doc:"Campaigns that want more than they get"`
}

// Word is why somebody does something.
type Word struct {
	Reason string `json:"reason" minLength:"1" maxLength:"500" doc:"For the audit log, and for who wonders"`
}

type channelPath struct {
	Name string `path:"name" maxLength:"50"`
	Body Word
}

func (s *server) channels() {
	tags := []string{"Channels"}
	register(s, access.CampaignsRead, huma.Operation{OperationID: "list-channels", Method: http.MethodGet, Path: "/channels", Tags: tags,
		Summary: "List channels and how they stand",
		Description: "A channel is suspended when the provider refuses our number, account or token, or is in trouble. Its campaigns wait, " +
			"reason `channel_suspended`, and go on by themselves once a try gets through."},
		func(ctx context.Context, _ *struct{}) (*struct{ Body Channels }, error) {
			all, err := s.Store.Channels(ctx)
			out := Channels{Channels: make([]Channel, len(all))}
			for i, c := range all {
				out.Channels[i] = shownChannel(c)
			}
			return &struct{ Body Channels }{out}, err
		})

	register(s, access.SettingsRead, huma.Operation{OperationID: "get-channel-use", Method: http.MethodGet, Path: "/channels/{name}/use", Tags: tags,
		Summary: "Tell how much of a channel's limits is used now", Description: "By the permit ledger, whose minute is a second longer than the clock's."},
		func(ctx context.Context, in *struct {
			Name string `path:"name" maxLength:"50"`
		}) (*struct{ Body ChannelUse }, error) {
			c, err := s.Store.ChannelStats(ctx, in.Name)
			return &struct{ Body ChannelUse }{ChannelUse{c.PerMinute, c.UsedMinute, c.PerSecond, c.UsedSecond, c.Tier, c.UsedTier, c.Wanting}}, err
		})

	for _, order := range []struct {
		id, summary, description string
		do                       func(ctx context.Context, channel, reason string) error
	}{
		{"close", "Let a suspended channel go on", "Once what had suspended it is mended. Every waiting campaign goes on within a second. " +
			"A channel that was reported as spam goes on in no other way.", s.Store.CloseChannel},
		{"open", "Suspend a channel", "Nothing more is sent on it until somebody closes it again. What is on its way goes on.", s.Store.OpenChannel},
	} {
		register(s, access.ChannelsRun, huma.Operation{OperationID: order.id + "-channel", Method: http.MethodPost, Path: "/channels/{name}/" + order.id, Tags: tags,
			Summary: order.summary, Description: order.description},
			func(ctx context.Context, in *channelPath) (*struct{ Body Channel }, error) {
				if err := order.do(ctx, in.Name, in.Body.Reason); err != nil {
					return nil, err
				}
				c, err := s.Store.Channel(ctx, in.Name)
				return &struct{ Body Channel }{shownChannel(c)}, err
			})
	}
}

func shownChannel(c store.ChannelState) Channel {
	out := Channel{Name: c.Channel, State: c.State, SlowedUntil: c.SlowedUntil}
	if c.State != store.ChannelClosed {
		out.Cause, out.Code, out.Why, out.NeedsHuman = c.Cause, c.Code, c.Why(), c.Cause.NeedsHuman()
		out.Failures, out.OpenedAt, out.RetryAt = c.Failures, c.OpenedAt, c.RetryAt
	}
	return out
}

// TemplateSuspension is a template that the provider does not take.
type TemplateSuspension struct {
	Name     string                 `json:"name"`
	Language string                 `json:"language,omitempty" doc:"BCP 47; absent: all"`
	State    delivery.TemplateState `json:"state" enum:"paused,disabled,rejected,deleted"`
	Source   string                 `json:"source" enum:"webhook,send" doc:"Whether the provider told it, or a send found out"`
	Code     int                    `json:"code,omitempty" doc:"The provider's, if a send found out"`
	Why      string                 `json:"why"`
	Advice   string                 `json:"advice"`
	Since    time.Time              `json:"since"`
	RetryAt  *time.Time             `json:"retry_at,omitempty" doc:"When one message tries; absent: only the provider, or somebody by hand, lifts it"`
}

// TemplateSuspensions are all of them.
type TemplateSuspensions struct {
	Suspensions []TemplateSuspension `json:"suspensions"`
}

func (s *server) templateSuspensions() {
	tags := []string{"Templates"}
	list := func(ctx context.Context) (*struct{ Body TemplateSuspensions }, error) {
		all, err := s.Store.SuspendedTemplates(ctx)
		out := TemplateSuspensions{Suspensions: make([]TemplateSuspension, len(all))}
		for i, t := range all {
			out.Suspensions[i] = TemplateSuspension{t.Name, t.Language, t.State, t.Source, t.Code, t.Why(), delivery.TemplateAdvice(t.State), t.Since, t.RetryAt}
		}
		return &struct{ Body TemplateSuspensions }{out}, err
	}
	register(s, access.TemplatesRead, huma.Operation{OperationID: "list-template-suspensions", Method: http.MethodGet, Path: "/template-suspensions", Tags: tags,
		Summary: "List the templates that WhatsApp does not take",
		Description: "Every campaign with such a template waits, reason `template_suspended`, as far as its recipients get it in that language. " +
			"It goes on by itself when WhatsApp takes the template again."},
		func(ctx context.Context, _ *struct{}) (*struct{ Body TemplateSuspensions }, error) { return list(ctx) })

	register(s, access.ChannelsRun, huma.Operation{OperationID: "resume-template", Method: http.MethodPost, Path: "/templates/{template}/resume", Tags: tags,
		Summary:     "Let a suspended template be sent again",
		Description: "In all its languages, once it is mended at WhatsApp. Answers with what is still suspended, of all templates."},
		func(ctx context.Context, in *struct {
			Template string `path:"template" maxLength:"512" doc:"Its name"`
			Body     Word
		}) (*struct{ Body TemplateSuspensions }, error) {
			if err := s.Store.ResumeTemplate(ctx, in.Template, in.Body.Reason); err != nil {
				return nil, err
			}
			return list(ctx)
		})
}
