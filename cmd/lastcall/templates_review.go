package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"lastcall/api"
	"lastcall/store"
)

func templatesSubmit(o *output) *cobra.Command {
	return o.templateOrder("submit", "Submit a draft for review", "It takes an account: with the token of lastcall up, use --as.", "for whoever reviews it", "", false)
}

func templatesLock(o *output) *cobra.Command {
	return o.templateOrder("lock", "Lock an approved version: nobody can change it any more", "Nobody locks what they have written.", "for the audit log", "", false)
}

func templatesRetire(o *output) *cobra.Command {
	return o.templateOrder("retire", "Take a version out of use, for good",
		"It is refused while campaigns are under way with it; with --confirm they send nothing more and wait until somebody stops them.", "why; needed",
		"also if campaigns are under way with it", true)
}

// templateOrder is a command that changes the status of a version.
func (o *output) templateOrder(name, short, more, why, confirm string, needed bool) *cobra.Command {
	var order api.TemplateRetirement
	cmd := &cobra.Command{
		Use: name + " NAME[@VERSION]", Short: short, Args: cobra.ExactArgs(1),
		Long:    short + ". Of a NAME it is the newest version. " + more,
		Example: "  lastcall templates " + name + " jazz@2 --reason \"for the season\" --as compliance@lastcall.test",
		RunE: func(cmd *cobra.Command, args []string) error {
			if needed && order.Reason == "" {
				return usageError{errors.New("--reason is needed: say why")}
			}
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			m, err := c.version(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if _, err := c.order(cmd.Context(), http.MethodPost, "/templates/"+m.ID.String()+"/"+name, known(m), order, &m); err != nil {
				return err
			}
			return o.template(cmd.Context(), c, m)
		},
	}
	cmd.Flags().StringVar(&order.Reason, "reason", "", why)
	if confirm != "" {
		cmd.Flags().BoolVar(&order.Confirm, "confirm", false, confirm)
	}
	return cmd
}

func templatesApprove(o *output) *cobra.Command {
	return o.templateVerdict("approve", "approved", "Approve a version that somebody else submitted", "for the audit log")
}

func templatesRequestChanges(o *output) *cobra.Command {
	return o.templateVerdict("request-changes", "changes_requested", "Send a submitted version back to its writers", "what is to be changed; needed")
}

func (o *output) templateVerdict(name, verdict, short, why string) *cobra.Command {
	var reason, digest string
	cmd := &cobra.Command{
		Use: name + " NAME[@VERSION]", Short: short, Args: cobra.ExactArgs(1),
		Long:    short + `. Of a NAME it is the newest version. Nobody reviews what they have written or submitted. With --digest it fails when the version is not what you looked at.`,
		Example: "  lastcall templates " + name + " jazz --reason \"says who writes\" --as compliance@lastcall.test",
		RunE: func(cmd *cobra.Command, args []string) error {
			if verdict == "changes_requested" && reason == "" {
				return usageError{errors.New("--reason is needed: say what is to be changed")}
			}
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			m, err := c.version(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			at := "/templates/" + m.ID.String() + "/review"
			var r api.TemplateReview
			if err := c.get(cmd.Context(), at, nil, &r); err != nil {
				return err
			}
			if !strings.HasPrefix(r.Digest, digest) {
				return fmt.Errorf("the version is not what you looked at any more: its digest is %.12s", r.Digest)
			}
			if _, err := c.order(cmd.Context(), http.MethodPost, at, http.Header{}, api.TemplateVerdict{Verdict: verdict, Reason: reason, Digest: r.Digest}, &m); err != nil {
				return err
			}
			return o.template(cmd.Context(), c, m)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", why)
	cmd.Flags().StringVar(&digest, "digest", "", "the digest of what you looked at, or its beginning")
	return cmd
}

func templatesSync(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "sync NAME[@VERSION]", Short: "Ask WhatsApp how it takes a version", Args: cobra.ExactArgs(1),
		Example: "  lastcall templates sync promo_generic",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			m, err := c.version(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			var r api.TemplateReview
			if _, err := c.order(cmd.Context(), http.MethodPost, "/templates/"+m.ID.String()+"/sync", http.Header{}, nil, &r); err != nil {
				return err
			}
			return o.print(r.Languages, func(t *listing) {
				t.header("locale", "state", "listed as", "category", "warnings")
				for _, l := range r.Languages {
					var warnings []string
					for _, w := range l.Warnings {
						warnings = append(warnings, w.Message)
					}
					t.row(l.Locale, l.State, l.Listed, l.Category, warnings)
				}
			})
		},
	}
}

func templatesTestSend(o *output) *cobra.Command {
	var n api.NewTemplateTest
	var values []string
	cmd := &cobra.Command{
		Use: "test-send NAME[@VERSION] NUMBER", Short: "Send a version to one phone, as a test", Args: cobra.ExactArgs(2),
		Long: `Sends one message with a version, of a NAME the newest, by the same rules as every other. What a rule blocks does not go: the command
says why and ends with 1.`,
		Example: "  lastcall templates test-send jazz +250781234567 --locale en --set name=Keza",
		RunE: func(cmd *cobra.Command, args []string) error {
			n.Variables = map[string]string{}
			if err := eachPair(values, func(name, text string) { n.Variables[name] = text }); err != nil {
				return err
			}
			n.MSISDN = args[1]
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			m, err := c.version(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			var test api.TemplateTest
			if _, err := c.order(cmd.Context(), http.MethodPost, "/templates/"+m.ID.String()+"/test-send", http.Header{"Idempotency-Key": {uuid.NewString()}}, n, &test); err != nil {
				return err
			}
			if err := o.print(test, func(t *listing) {
				t.row("test", test.ID.String())
				t.row("to", test.To)
				t.row("state", test.State)
				if test.Problem != "" {
					t.row("problem", test.Problem)
				}
			}); err != nil {
				return err
			}
			if test.State == store.TestBlocked {
				return fmt.Errorf("blocked: %s (%s)", test.Decision.Reason, test.Decision.Why)
			}
			if test.State == "failed" {
				return errors.New("the message has not gone")
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&n.Locale, "locale", "en", "of the text")
	f.StringVar(&n.Country, "country", "", "where a number without + is dialled")
	f.StringArrayVar(&values, "set", nil, "NAME=TEXT of a variable; absent ones are their default, else their example")
	return cmd
}
