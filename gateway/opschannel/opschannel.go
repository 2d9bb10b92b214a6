// Package opschannel posts notices to the Ops channel: a Slack incoming webhook, or anything of that shape.
package opschannel

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackutilsx"

	"lastcall/domain"
)

// Channel is one incoming webhook. It is safe for concurrent use.
type Channel struct {
	webhookURL string
	client     *http.Client
}

// New makes a channel. The address is a secret: who knows it can post.
func New(webhookURL string) *Channel {
	return &Channel{webhookURL: webhookURL, client: &http.Client{Timeout: 10 * time.Second}}
}

// Through puts something before the transport of the channel, which it returns.
func (c *Channel) Through(wrap func(http.RoundTripper) http.RoundTripper) *Channel {
	c.client.Transport = wrap(http.DefaultTransport)
	return c
}

// Notice is what Ops should know. It holds no phone number, name or message text.
type Notice struct {
	Title string // one line
	Text  string // plain text
	Link  string // where to look, "" for nowhere
	Level Level
}

// Level says how soon somebody should look. The zero value counts as Info.
type Level string

// The levels.
const (
	Info     Level = "info"
	Warn     Level = "warn"
	Critical Level = "critical"
)

// Post delivers a notice, in 10 s at most. It may arrive twice when repeated after an error. Errors are domain.Unavailable
// (ops_channel_not_set, ops_channel_down); neither they nor their causes name the webhook's address.
func (c *Channel) Post(ctx context.Context, n Notice) error {
	if c.webhookURL == "" {
		return domain.E(domain.Unavailable, "ops_channel_not_set", "No Ops channel is configured.")
	}
	body := slackutilsx.EscapeMessage(n.Text)
	if n.Link != "" {
		body += "\n<" + slackutilsx.EscapeMessage(n.Link) + "|Open in Lastcall>"
	}
	err := slack.PostWebhookCustomHTTPContext(ctx, c.webhookURL, c.client, &slack.WebhookMessage{
		Text:        "*" + slackutilsx.EscapeMessage(n.Title) + "*",
		Attachments: []slack.Attachment{{Color: n.Level.color(), Fallback: body, Text: body, MarkdownIn: []string{"text"}}},
	})
	if err == nil {
		return nil
	}
	if _, parseErr := url.Parse(c.webhookURL); parseErr != nil {
		err = errors.New("the webhook's address is not a URL")
	} else if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err
	}
	return domain.E(domain.Unavailable, "ops_channel_down", "The Ops channel did not take the notice.").Because(err)
}

// Ping asks the webhook for a sign of life and posts nothing: a webhook that works refuses a message without a text, and
// says so. Errors are domain.Unavailable: ops_channel_not_set; ops_channel_refuses, where it answers something else; and
// ops_channel_down, where nothing answers, or says that there is no such channel any more.
func (c *Channel) Ping(ctx context.Context) error {
	if c.webhookURL == "" {
		return domain.E(domain.Unavailable, "ops_channel_not_set", "No Ops channel is configured.")
	}
	down := func(cause error) error {
		return domain.E(domain.Unavailable, "ops_channel_down", "The Ops channel does not answer.").Because(cause)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.webhookURL, strings.NewReader("{}"))
	if err != nil {
		return down(errors.New("the webhook's address is not a URL"))
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.client.Do(req)
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err
		}
		return down(err)
	}
	defer func() { _ = res.Body.Close() }()
	switch res.StatusCode {
	case http.StatusBadRequest:
		return nil
	case http.StatusNotFound, http.StatusGone:
		return domain.E(domain.Unavailable, "ops_channel_down", "The Ops channel is not there any more (HTTP %d).", res.StatusCode)
	}
	return domain.E(domain.Unavailable, "ops_channel_refuses", "The Ops channel answers, but not as one (HTTP %d).", res.StatusCode)
}

// color is the bar beside the text: amber, orange or red.
func (l Level) color() string {
	switch l {
	case Critical:
		return "#D64545"
	case Warn:
		return "#E8762D"
	}
	return "#F2A33A"
}
