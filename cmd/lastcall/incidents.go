package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"lastcall/api"
	"lastcall/domain/alert"
)

func incidentsCommand(sh *shell) *cobra.Command {
	o := newOutput(sh)
	return group(o, "incidents", "What is being seen to, with its timeline", incidentsList(o), incidentsShow(o), incidentsOpen(o),
		incidentsChange(o, "note", "Note something on an incident's timeline", "note"), incidentsChange(o, "mitigate", "Say that an incident does no harm any more", ""),
		incidentsChange(o, "resolve", "Resolve an incident", "what it was, and what is to follow"), incidentsStep(o))
}

func incidentsList(o *output) *cobra.Command {
	var p paging
	var open bool
	cmd := &cobra.Command{
		Use: "list", Short: "List incidents, newest first", Args: cobra.NoArgs,
		Example: "  lastcall incidents list --open",
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := p.query()
			if open {
				query.Set("open", "true")
			}
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var page api.IncidentPage
			if err := c.get(cmd.Context(), "/incidents", query, &page); err != nil {
				return err
			}
			return o.print(page, func(t *listing) {
				t.header("number", "state", "severity", "title", "opened", "owner", "alerts firing")
				for _, i := range page.Incidents {
					owner := ""
					if i.Owner != nil {
						owner = i.Owner.Email
					}
					t.row(incidentNumber(i.Number), i.State, i.Severity, drilled(i.Title, i.IsDrill), i.OpenedAt, owner, i.AlertsFiring)
				}
			})
		},
	}
	p.flags(cmd)
	cmd.Flags().BoolVar(&open, "open", false, "only those that are not resolved")
	return cmd
}

func incidentsShow(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show an incident with its timeline", Args: cobra.ExactArgs(1),
		Long:    "Shows an incident with all that happened, oldest first. ID is its number, like INC-12, or its whole id.",
		Example: "  lastcall incidents show INC-12",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			id, err := o.incidentID(cmd, c, args[0])
			if err != nil {
				return err
			}
			var i api.Incident
			if err := c.get(cmd.Context(), "/incidents/"+id, nil, &i); err != nil {
				return err
			}
			return o.incident(i)
		},
	}
}

func incidentsOpen(o *output) *cobra.Command {
	var severity, runbook, of string
	cmd := &cobra.Command{
		Use: "open TITLE", Short: "Open an incident by hand", Args: cobra.ExactArgs(1),
		Example: "  lastcall incidents open \"Stations cannot redeem\" --severity critical --runbook redemption-anomalies",
		RunE: func(cmd *cobra.Command, args []string) error {
			n := api.NewIncident{Title: args[0], Severity: alert.Severity(severity), Runbook: runbook}
			if of != "" {
				id, err := uuid.Parse(of)
				if err != nil {
					return usageError{fmt.Errorf("--alert: %q is no alert's id", of)}
				}
				n.AlertID = &id
			}
			body, err := json.Marshal(n)
			if err != nil {
				return err
			}
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var i api.Incident
			header := http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {uuid.NewString()}}
			if _, err := c.send(cmd.Context(), http.MethodPost, "/incidents", header, bytes.NewReader(body), &i); err != nil {
				return err
			}
			return o.incident(i)
		},
	}
	cmd.Flags().StringVar(&severity, "severity", string(alert.Warning), "info, warning or critical")
	cmd.Flags().StringVar(&runbook, "runbook", "", "what to do, by its name")
	cmd.Flags().StringVar(&of, "alert", "", "an alert that belongs to it")
	return cmd
}

// incidentsChange is a change by its name; one with text takes it as its second argument.
func incidentsChange(o *output, do, short, text string) *cobra.Command {
	use, example, args := do+" ID", "  lastcall incidents "+do+" INC-12", cobra.ExactArgs(1)
	if text != "" {
		use, example, args = do+" ID TEXT", example+" \"the provider is back; we will ask why\"", cobra.ExactArgs(2)
	}
	return &cobra.Command{
		Use: use, Short: short, Args: args, Example: example,
		RunE: func(cmd *cobra.Command, args []string) error {
			change := api.IncidentChange{Do: do}
			if len(args) > 1 {
				change.Text = args[1]
			}
			return o.changeIncident(cmd, args[0], "/changes", change)
		},
	}
}

func incidentsStep(o *output) *cobra.Command {
	var run bool
	var voucher, reason string
	cmd := &cobra.Command{
		Use: "step ID N", Short: "Tick a step of an incident's runbook, or run it", Args: cobra.ExactArgs(2),
		Example: "  lastcall incidents step INC-12 1 --run\n  lastcall incidents step INC-12 2",
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.Atoi(args[1])
			if err != nil || n < 1 {
				return usageError{fmt.Errorf("%q is no step's number", args[1])}
			}
			order := api.StepOrder{Do: "tick", Reason: reason}
			if run {
				order.Do = "run"
			}
			if voucher != "" {
				id, err := uuid.Parse(voucher)
				if err != nil {
					return usageError{fmt.Errorf("--voucher: %q is no voucher's id", voucher)}
				}
				order.VoucherID = &id
			}
			return o.changeIncident(cmd, args[0], fmt.Sprintf("/steps/%d", n), order)
		},
	}
	cmd.Flags().BoolVar(&run, "run", false, "have Lastcall do it")
	cmd.Flags().StringVar(&voucher, "voucher", "", "of a step that voids a voucher: its id")
	cmd.Flags().StringVar(&reason, "reason", "", "of a step that voids a voucher: why")
	return cmd
}

func (o *output) changeIncident(cmd *cobra.Command, name, path string, body any) error {
	c, err := o.sh.client()
	if err != nil {
		return err
	}
	id, err := o.incidentID(cmd, c, name)
	if err != nil {
		return err
	}
	var i api.Incident
	if _, err := c.call(cmd.Context(), http.MethodPost, "/incidents/"+id+path, body, &i); err != nil {
		return err
	}
	return o.incident(i)
}

// incidentID is the id of an incident that somebody names by its id or number.
func (o *output) incidentID(cmd *cobra.Command, c *apiClient, name string) (string, error) {
	if _, err := uuid.Parse(name); err == nil {
		return name, nil
	}
	n, err := strconv.Atoi(strings.TrimPrefix(strings.ToUpper(name), "INC-"))
	if err != nil || n < 1 {
		return "", usageError{fmt.Errorf("%q is no incident: use its number, like INC-12", name)}
	}
	var page api.IncidentPage
	if err := c.get(cmd.Context(), "/incidents", url.Values{"after": {strconv.Itoa(n + 1)}, "limit": {"1"}}, &page); err != nil {
		return "", err
	}
	if len(page.Incidents) == 0 || page.Incidents[0].Number != n {
		return "", errors.New("there is no incident INC-" + strconv.Itoa(n))
	}
	return page.Incidents[0].ID.String(), nil
}

func (o *output) incident(i api.Incident) error {
	return o.print(i, func(t *listing) {
		t.row("incident", incidentNumber(i.Number)+": "+drilled(i.Title, i.IsDrill))
		t.row("id", i.ID)
		t.row("state", i.State)
		t.row("severity", i.Severity)
		if i.Owner != nil {
			t.row("owner", i.Owner.Email)
		}
		if i.Runbook != "" {
			t.row("runbook", i.Runbook)
		}
		if i.Resolution != "" {
			t.row("it was", i.Resolution)
		}
		for _, m := range i.Timeline {
			what := strings.ReplaceAll(m.Kind, "_", " ")
			if m.Step > 0 {
				what += " " + strconv.Itoa(m.Step)
			}
			if m.Text != "" {
				what += ": " + m.Text
			}
			if m.By != "" {
				what += " (" + m.By + ")"
			}
			t.row(m.At, what)
		}
	})
}
