package sandbox

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
)

// serveMail takes mail for anybody until ctx is over.
func (s *Server) serveMail(ctx context.Context) error {
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		return &mailSession{server: s}, nil
	}))
	server.Domain = "sandbox.lastcall"
	server.MaxMessageBytes = 10 << 20
	server.MaxRecipients = 1000
	server.ReadTimeout = time.Minute
	server.WriteTimeout = time.Minute
	server.ErrorLog = slog.NewLogLogger(s.config.Log.Handler(), slog.LevelWarn)
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(s.smtp); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// letter is what the journal keeps of a mail.
type letter struct {
	From    string   `json:"from"` // the envelope's, like to
	To      []string `json:"to"`
	Subject string   `json:"subject"`
	Text    string   `json:"text"` // the first plain text in it
}

// mailSession is one SMTP connection.
type mailSession struct {
	server *Server
	letter letter
}

func (m *mailSession) Mail(from string, _ *smtp.MailOptions) error {
	m.letter.From = from
	return nil
}

func (m *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	m.letter.To = append(m.letter.To, to)
	return nil
}

func (m *mailSession) Data(r io.Reader) error {
	parsed, err := mail.ReadMessage(r)
	if err != nil {
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "This is no mail"}
	}
	m.letter.Subject, err = new(mime.WordDecoder).DecodeHeader(parsed.Header.Get("Subject"))
	if err != nil {
		m.letter.Subject = parsed.Header.Get("Subject")
	}
	m.letter.Text, err = plainText(parsed.Header.Get("Content-Type"), parsed.Header.Get("Content-Transfer-Encoding"), parsed.Body)
	if err != nil {
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "The mail's text is not readable"}
	}
	object, err := json.Marshal(m.letter)
	if err == nil {
		err = m.server.mails.append(object, nil)
	}
	if err != nil {
		m.server.config.Log.Error("sandbox cannot keep a mail", "error", err)
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "Not stored, try again"}
	}
	return nil
}

// Reset ends one mail of the session.
func (m *mailSession) Reset() { m.letter = letter{} }

// Logout ends the session.
func (m *mailSession) Logout() error { return nil }

// plainText finds the first text/plain in a body, "" when there is none.
func plainText(contentType, encoding string, body io.Reader) (string, error) {
	if contentType == "" {
		contentType = "text/plain"
	}
	kind, parameters, err := mime.ParseMediaType(contentType)
	if err != nil {
		return "", err
	}
	switch strings.ToLower(encoding) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	if kind == "text/plain" {
		text, err := io.ReadAll(body)
		return strings.ReplaceAll(string(text), "\r\n", "\n"), err
	}
	if !strings.HasPrefix(kind, "multipart/") {
		return "", nil
	}
	for parts := multipart.NewReader(body, parameters["boundary"]); ; {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		text, err := plainText(part.Header.Get("Content-Type"), part.Header.Get("Content-Transfer-Encoding"), part)
		if err != nil || text != "" {
			return text, err
		}
	}
}
