package main

import (
	"maps"
	"net/url"
	"slices"

	"github.com/spf13/cobra"

	"lastcall/api"
	"lastcall/store"
)

func templatesCommand(sh *shell) *cobra.Command {
	o := newOutput(sh)
	list := &cobra.Command{
		Use: "list", Short: "List templates, every version", Args: cobra.NoArgs,
		Example: "  lastcall templates list",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var all api.Templates
			if err := c.get(cmd.Context(), "/templates", nil, &all); err != nil {
				return err
			}
			return o.print(all, func(t *listing) {
				t.header("name", "version", "status", "category", "locales", "variables")
				t.right(2)
				for _, m := range all.Templates {
					t.row(m.Name, m.Version, m.Status, m.Category, slices.Sorted(maps.Keys(m.Texts)), variables(m))
				}
			})
		},
	}
	get := &cobra.Command{
		Use: "get NAME", Short: "Show a template", Args: cobra.ExactArgs(1),
		Example: "  lastcall templates get promo_generic",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var m store.Template
			if err := c.get(cmd.Context(), "/templates/"+url.PathEscape(args[0]), nil, &m); err != nil {
				return err
			}
			return o.print(m, func(t *listing) {
				t.row("name", m.Name)
				t.row("version", m.Version)
				t.row("status", m.Status)
				t.row("category", m.Category)
				for _, locale := range slices.Sorted(maps.Keys(m.Texts)) {
					t.row(locale, m.Texts[locale])
				}
				for _, v := range m.Variables {
					t.row("{{"+v.Name+"}}", "example: "+v.Example+withDefault(v.Default))
				}
			})
		},
	}
	return group(o, "templates", "Message templates", list, get, templatesSuspended(o), templatesResume(o))
}

func variables(m store.Template) []string {
	names := make([]string, len(m.Variables))
	for i, v := range m.Variables {
		names[i] = v.Name
	}
	return names
}

func withDefault(text string) string {
	if text == "" {
		return ", required"
	}
	return ", default: " + text
}
