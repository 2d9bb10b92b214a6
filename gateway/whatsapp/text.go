package whatsapp

import (
	"context"
	"time"

	"lastcall/domain/contact"
)

// TextMessage is free text to one person. The provider takes it for 24 hours after the person last wrote to us; later
// it answers with error 131047.
type TextMessage struct {
	To           contact.MSISDN
	Text         string
	CallbackData string    // at most 512 bytes; comes back with every status
	StartBy      time.Time // as of TemplateMessage
}

// SendText hands one text to the provider. What it answers, and how it fails, is as with Send.
func (c *Client) SendText(ctx context.Context, m TextMessage) (Accepted, error) {
	if c.configErr != nil {
		return Accepted{}, c.configErr
	}
	return c.post(ctx, m.StartBy, appendText(make([]byte, 0, 512), m))
}
