package main

import (
	"maps"
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
	return group(o, "templates", "Message templates", list, templatesShow(o), templatesCreate(o), templatesEdit(o), templatesSubmit(o), templatesApprove(o),
		templatesRequestChanges(o), templatesLock(o), templatesRetire(o), templatesTestSend(o), templatesSync(o), templatesSuspended(o), templatesResume(o))
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
