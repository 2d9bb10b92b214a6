package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"lastcall/api"
	"lastcall/domain/template"
	"lastcall/store"
)

func templatesShow(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "show NAME[@VERSION]", Aliases: []string{"get"}, Short: "Show a template and how it stands", Args: cobra.ExactArgs(1),
		Long:    `Shows the newest version that may be sent, else the newest; or the one that NAME@VERSION, or its id, names.`,
		Example: "  lastcall templates show promo_generic\n  lastcall templates show promo_generic@2 --output json",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var m store.Template
			if strings.Contains(args[0], "@") {
				m, err = c.version(cmd.Context(), args[0])
			} else {
				err = c.get(cmd.Context(), "/templates/"+url.PathEscape(args[0]), nil, &m)
			}
			if err != nil {
				return err
			}
			return o.template(cmd.Context(), c, m)
		},
	}
}

// written are the flags that say what a version says.
type written struct {
	category, media                             string
	texts, headers, footers, examples, defaults []string
}

func (w *written) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&w.category, "category", "", "marketing or utility")
	f.StringArrayVar(&w.texts, "text", nil, `LOCALE=TEXT, such as --text "en=Hello {{name}}, we are open."; repeatable`)
	f.StringArrayVar(&w.headers, "header", nil, "LOCALE=TEXT of the line over the text; an empty text takes it away")
	f.StringArrayVar(&w.footers, "footer", nil, "LOCALE=TEXT of the small line under it; an empty text takes it away")
	f.StringArrayVar(&w.examples, "variable", nil, "NAME=EXAMPLE of what the texts leave open; repeatable")
	f.StringArrayVar(&w.defaults, "default", nil, "NAME=TEXT for whom the audience has no value; without one a value is required")
	f.StringVar(&w.media, "header-media", "", "https address or WhatsApp id of a picture that the message opens with")
}

// into changes content by what the flags say, and reports whether they say anything.
func (w *written) into(c *api.TemplateContent) (bool, error) {
	if w.category != "" {
		c.Category = w.category
	}
	if w.media != "" {
		c.HeaderMedia = w.media
	}
	for _, of := range []struct {
		given []string
		to    *map[string]string
	}{{w.texts, &c.Texts}, {w.headers, &c.Headers}, {w.footers, &c.Footers}} {
		if *of.to == nil {
			*of.to = map[string]string{}
		}
		if err := eachPair(of.given, func(locale, text string) { (*of.to)[locale] = text }); err != nil {
			return false, err
		}
	}
	of := func(name string) *template.Variable {
		i := slices.IndexFunc(c.Variables, func(v template.Variable) bool { return v.Name == name })
		if i < 0 {
			c.Variables, i = append(c.Variables, template.Variable{Name: name}), len(c.Variables)
		}
		return &c.Variables[i]
	}
	err := errors.Join(eachPair(w.examples, func(name, text string) { of(name).Example = text }), eachPair(w.defaults, func(name, text string) { of(name).Default = text }))
	return w.category != "" || w.media != "" || len(w.texts)+len(w.headers)+len(w.footers)+len(w.examples)+len(w.defaults) > 0, err
}

func eachPair(given []string, set func(name, text string)) error {
	for _, pair := range given {
		name, text, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return usageError{fmt.Errorf("%.40q must be of the form name=text", pair)}
		}
		set(name, text)
	}
	return nil
}

func templatesCreate(o *output) *cobra.Command {
	var w written
	var next bool
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Write a new template, or the next version of one", Args: cobra.ExactArgs(1),
		Long: `Writes the first version of a template, a draft. With --next it is the next version of a template that there is: a copy of its
newest, with what the other flags say changed. A draft may be unfinished; what keeps it from being submitted is shown.`,
		Example: `  lastcall templates create jazz --category marketing --variable name=Amina --default name=friend \
    --text "en=Hello {{name}}, jazz tonight. Reply STOP to hear no more from us."
  lastcall templates create jazz --next --text "en=Hello {{name}}, jazz on Friday. Reply STOP to hear no more from us."`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			key := http.Header{"Idempotency-Key": {uuid.NewString()}}
			var m store.Template
			if !next {
				n := api.NewTemplate{Name: args[0], TemplateContent: api.TemplateContent{Category: template.Marketing}}
				if _, err := w.into(&n.TemplateContent); err != nil {
					return err
				}
				if _, err := c.order(cmd.Context(), http.MethodPost, "/templates", key, n, &m); err != nil {
					return err
				}
				return o.template(cmd.Context(), c, m)
			}
			if m, err = c.version(cmd.Context(), args[0]); err != nil {
				return err
			}
			if _, err := c.order(cmd.Context(), http.MethodPost, "/templates/"+m.ID.String()+"/versions", key, nil, &m); err != nil {
				return err
			}
			return o.rewrite(cmd.Context(), c, m, &w)
		},
	}
	cmd.Flags().BoolVar(&next, "next", false, "the next version of a template that there is")
	w.flags(cmd)
	return cmd
}

func templatesEdit(o *output) *cobra.Command {
	var w written
	cmd := &cobra.Command{
		Use: "edit NAME[@VERSION]", Short: "Change what a version says", Args: cobra.ExactArgs(1),
		Long: `Changes what the flags say of a version, the newest one of a NAME; the rest stays. It is a draft afterwards, and what was
approved about it is void. A locked version stays as it is: use create --next.`,
		Example: `  lastcall templates edit jazz --text "rw=Muraho {{name}}, jazz nijoro. Andika STOP niba udashaka ubutumwa."`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			m, err := c.version(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return o.rewrite(cmd.Context(), c, m, &w)
		},
	}
	w.flags(cmd)
	return cmd
}

// rewrite changes a version by what the flags say, if they say anything, and prints it.
func (o *output) rewrite(ctx context.Context, c *apiClient, m store.Template, w *written) error {
	content := api.TemplateContent{Category: m.Category, Variables: m.Variables, Texts: m.Texts, Headers: m.Headers, Footers: m.Footers, HeaderMedia: m.HeaderMedia}
	anything, err := w.into(&content)
	if err != nil {
		return err
	}
	if anything {
		if _, err := c.order(ctx, http.MethodPut, "/templates/"+m.ID.String(), known(m), content, &m); err != nil {
			return err
		}
	}
	return o.template(ctx, c, m)
}

// known says which revision of a version an order is about.
func known(m store.Template) http.Header {
	return http.Header{"If-Match": {strconv.Quote(strconv.FormatInt(m.Revision, 10))}}
}

// version finds a version by NAME@VERSION, by its id, or by NAME alone: then the newest.
func (c *apiClient) version(ctx context.Context, ref string) (store.Template, error) {
	var all api.Templates
	if err := c.get(ctx, "/templates", nil, &all); err != nil {
		return store.Template{}, err
	}
	name, version, exact := strings.Cut(ref, "@")
	for _, m := range all.Templates { // newest first
		if m.ID.String() == ref || m.Name == name && (!exact || version == strconv.Itoa(m.Version)) {
			return m, nil
		}
	}
	return store.Template{}, fmt.Errorf("there is no template %s", ref)
}

// template prints a version and how it stands.
func (o *output) template(ctx context.Context, c *apiClient, m store.Template) error {
	var r api.TemplateReview
	if err := c.get(ctx, "/templates/"+m.ID.String()+"/review", nil, &r); err != nil {
		return err
	}
	return o.print(m, func(t *listing) {
		t.row("name", m.Name)
		t.row("version", m.Version)
		t.row("status", m.Status)
		t.row("category", m.Category)
		for _, locale := range slices.Sorted(maps.Keys(m.Texts)) {
			if header := m.Headers[locale]; header != "" {
				t.row(locale+" header", header)
			}
			t.row(locale, m.Texts[locale])
			if footer := m.Footers[locale]; footer != "" {
				t.row(locale+" footer", footer)
			}
		}
		for _, v := range m.Variables {
			t.row("{{"+v.Name+"}}", "example: "+v.Example+withDefault(v.Default))
		}
		for _, p := range r.Problems {
			t.row("missing", p.Field+": "+p.Detail)
		}
		for _, l := range r.Languages {
			for _, w := range l.Warnings {
				t.row("warning", l.Locale+": "+w.Message)
			}
			if l.Why != "" {
				t.row("suspended", l.Why)
			}
		}
		if r.Request != nil {
			t.row("submitted by", r.Request.RequestedBy.Email)
		}
		for _, d := range r.Decisions {
			said := "by " + d.By.Email
			if d.Reason != "" {
				said += ": " + d.Reason
			}
			if d.VoidedAt != nil {
				said += " (void)"
			}
			what := map[string]string{"approved": "approved", "rejected": "changes requested"}[string(d.Verdict)]
			t.row(what, said)
		}
		if r.UnderWay > 0 {
			t.row("campaigns under way", r.UnderWay)
		}
	})
}
