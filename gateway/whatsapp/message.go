package whatsapp

import (
	"path"
	"strings"
	"unicode/utf8"
)

// appendMessage appends the body of a send request. It is written by hand because it is made once a
// message, and nothing in it can fail.
func appendMessage(b []byte, m TemplateMessage) []byte {
	b = append(b, `{"messaging_product":"whatsapp","recipient_type":"individual","to":`...)
	b = appendString(b, string(m.To))
	b = append(b, `,"type":"template","template":{"name":`...)
	b = appendString(b, m.Template)
	b = append(b, `,"language":{"code":`...)
	b = appendString(b, strings.ReplaceAll(m.Language, "-", "_"))
	b = append(b, '}')
	if m.HeaderMedia != "" || len(m.Parameters) > 0 {
		b = append(b, `,"components":[`...)
		if m.HeaderMedia != "" {
			b = appendHeader(b, m.HeaderMedia)
			if len(m.Parameters) > 0 {
				b = append(b, ',')
			}
		}
		if len(m.Parameters) > 0 {
			b = appendBody(b, m.Parameters)
		}
		b = append(b, ']')
	}
	b = append(b, '}')
	if m.CallbackData != "" {
		b = append(b, `,"biz_opaque_callback_data":`...)
		b = appendString(b, m.CallbackData)
	}
	return append(b, '}')
}

// appendText appends the body of a send request for a text.
func appendText(b []byte, m TextMessage) []byte {
	b = append(b, `{"messaging_product":"whatsapp","recipient_type":"individual","to":`...)
	b = appendString(b, string(m.To))
	b = append(b, `,"type":"text","text":{"preview_url":false,"body":`...)
	b = appendString(b, m.Text)
	b = append(b, '}')
	if m.CallbackData != "" {
		b = append(b, `,"biz_opaque_callback_data":`...)
		b = appendString(b, m.CallbackData)
	}
	return append(b, '}')
}

func appendBody(b []byte, parameters []Parameter) []byte {
	b = append(b, `{"type":"body","parameters":[`...)
	for i, p := range parameters {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"type":"text","parameter_name":`...)
		b = appendString(b, p.Name)
		b = append(b, `,"text":`...)
		b = appendString(b, p.Text)
		b = append(b, '}')
	}
	return append(b, "]}"...)
}

// appendHeader takes a URL as a link and anything else as the id of media uploaded before. The kind
// of media follows from the extension; an image when that says nothing.
func appendHeader(b []byte, media string) []byte {
	kind := "image"
	file, _, _ := strings.Cut(media, "?")
	switch strings.ToLower(path.Ext(file)) {
	case ".mp4", ".3gp":
		kind = "video"
	case ".pdf":
		kind = "document"
	}
	ref := "id"
	if strings.Contains(media, "://") {
		ref = "link"
	}
	b = append(b, `{"type":"header","parameters":[{"type":"`+kind+`","`+kind+`":{"`+ref+`":`...)
	b = appendString(b, media)
	return append(b, "}}]}"...)
}

// appendString appends s as a JSON string; bytes that are not UTF-8 become U+FFFD.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r) // RuneError for a byte that is none
			i += size
			continue
		}
		i++
	}
	return append(b, '"')
}
