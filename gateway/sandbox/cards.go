package sandbox

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"lastcall/domain"
	"lastcall/domain/voucher"
	"lastcall/gateway/vouchercard"
)

const maxCardLink = 90 * 24 * time.Hour

var pngType = []string{"image/png"}

// postCard is the voucher-card edge function: it answers with the picture, or with a link to it.
func (s *Server) postCard(w http.ResponseWriter, r *http.Request) {
	struck := s.faults.strike(scopeCard, true)
	if struck.kind == faultOutage {
		hangUp()
	}
	if !s.mayDraw(w, r) {
		return
	}
	raw, err := s.readBody(w, r)
	if err != nil {
		s.writeError(w, err)
		return
	}
	s.linger(struck.latency)
	switch struck.kind {
	case faultReset:
		reset(w)
		return
	case faultRate:
		writeJSON(w, http.StatusTooManyRequests, cardProblem{"too_many_requests"})
		return
	case faultError:
		writeJSON(w, struck.code, cardProblem{"told_to_fail"})
		return
	}
	card, lives, err := readCard(raw)
	if err != nil {
		s.writeError(w, err)
		return
	}
	if lives > 0 {
		link, err := s.linkTo(r, raw, lives)
		if err != nil {
			s.writeError(w, err)
			return
		}
		answer, _ := json.Marshal(link) // a string and a time: it cannot fail
		s.answer(w, r, struck, jsonType, answer)
		return
	}
	picture, err := drawCard(card)
	if err != nil {
		s.writeError(w, err)
		return
	}
	s.answer(w, r, struck, pngType, picture)
}

// getCardFunction is how a probe finds out whether the function is there and takes the secret.
func (s *Server) getCardFunction(w http.ResponseWriter, r *http.Request) {
	struck := s.faults.strike(scopeCard, false)
	if struck.kind == faultOutage {
		hangUp()
	}
	s.linger(struck.latency)
	if s.mayDraw(w, r) {
		writeJSON(w, http.StatusOK, map[string]string{"function": scopeCard})
	}
}

// getCard is what a link leads to. Whoever has the link may see the card until it ends; whoever changes it sees nothing.
func (s *Server) getCard(w http.ResponseWriter, r *http.Request) {
	struck := s.faults.strike(scopeCard, false)
	if struck.kind == faultOutage {
		hangUp()
	}
	s.linger(struck.latency)
	name, query := r.PathValue("file"), r.URL.Query()
	ends, err := strconv.ParseInt(query.Get("exp"), 10, 64)
	if err != nil || s.config.CardSecret == "" || !hmac.Equal([]byte(query.Get("sig")), []byte(s.signLink(name, ends))) {
		writeJSON(w, http.StatusForbidden, cardProblem{"link_not_ours"})
		return
	}
	if !time.Now().Before(time.Unix(ends, 0)) {
		writeJSON(w, http.StatusGone, cardProblem{"link_expired"})
		return
	}
	id, err := strconv.ParseInt(strings.TrimSuffix(name, ".png"), 10, 64)
	if err != nil {
		http.NotFound(w, r) // we signed no such name
		return
	}
	picture, err := s.drawKept(id)
	if err != nil {
		s.writeError(w, err)
		return
	}
	w.Header()["Content-Type"] = pngType
	w.Header().Set("Cache-Control", "private, no-store")
	_, _ = w.Write(picture)
}

// cardProblem is a refusal of the function.
type cardProblem struct {
	Code string `json:"code"`
}

func (s *Server) mayDraw(w http.ResponseWriter, r *http.Request) bool {
	if s.config.CardSecret == "" {
		writeJSON(w, http.StatusNotFound, cardProblem{"not_deployed"})
		return false
	}
	secret, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !bearer || subtle.ConstantTimeCompare([]byte(secret), []byte(s.config.CardSecret)) != 1 {
		writeJSON(w, http.StatusUnauthorized, cardProblem{"unauthorized"})
		return false
	}
	return true
}

// readCard reads a request; domain.Invalid when no card comes of it.
func readCard(raw []byte) (voucher.Card, time.Duration, error) {
	var r vouchercard.Request
	if err := decodeObject(raw, &r); err != nil {
		return voucher.Card{}, 0, domain.E(domain.Invalid, "card_not_readable", "A card is asked for by one JSON object of known fields: %s.", err)
	}
	amount, err := decimal.NewFromString(r.Amount)
	if err != nil {
		return voucher.Card{}, 0, domain.E(domain.Invalid, "bad_amount", "must be a decimal number").About("amount")
	}
	lives := time.Duration(r.LinkSeconds) * time.Second
	if r.LinkSeconds < 0 || r.LinkSeconds > int(maxCardLink/time.Second) {
		return voucher.Card{}, 0, domain.E(domain.Invalid, "out_of_range", "A link lives 90 days at most.").About("link_seconds")
	}
	card := voucher.Card{Amount: amount, Currency: r.Currency, Code: r.Code, Token: r.Token, Expires: r.ExpiresAt, Zone: r.Zone,
		Locale: r.Locale, Bar: r.Bar, Stations: r.Stations, Payment: r.Payment, Specimen: r.Specimen}
	return card, lives, card.Check()
}

// linkTo keeps what a card was asked for, and signs a link to the picture that is drawn when somebody follows it.
func (s *Server) linkTo(r *http.Request, raw []byte, lives time.Duration) (vouchercard.Link, error) {
	object, err := json.Marshal(keptCard{raw})
	if err != nil {
		return vouchercard.Link{}, err
	}
	var id int64
	if err := s.cards.append(object, func() { id = s.cards.lastLocked() }); err != nil {
		return vouchercard.Link{}, err
	}
	ends := time.Now().Add(lives + time.Second).Truncate(time.Second)
	name := strconv.FormatInt(id, 10) + ".png"
	address := url.URL{Scheme: "http", Host: r.Host, Path: "/cards/" + name,
		RawQuery: "exp=" + strconv.FormatInt(ends.Unix(), 10) + "&sig=" + s.signLink(name, ends.Unix())}
	return vouchercard.Link{URL: address.String(), ExpiresAt: ends.UTC()}, nil
}

// keptCard is what the journal keeps of one.
type keptCard struct {
	Request json.RawMessage `json:"request"`
}

func (s *Server) drawKept(id int64) ([]byte, error) {
	lines, err := s.cards.after(id-1, 1)
	if err != nil {
		return nil, err
	}
	defer lines.Close()
	var kept struct {
		entry
		keptCard
	}
	if err := json.NewDecoder(lines).Decode(&kept); err != nil {
		return nil, err
	}
	card, _, err := readCard(kept.Request)
	if err != nil {
		return nil, err
	}
	return drawCard(card)
}

// signLink vouches for a name until ends, in seconds since 1970.
func (s *Server) signLink(name string, ends int64) string {
	mac := hmac.New(sha256.New, []byte("card link\n"+s.config.CardSecret))
	mac.Write([]byte(name + "\n" + strconv.FormatInt(ends, 10)))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
