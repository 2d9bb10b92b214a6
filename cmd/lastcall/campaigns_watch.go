package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"lastcall/api"
	"lastcall/domain/campaign"
)

const (
	watchEvery   = 300 * time.Millisecond
	watchSilence = 2 * time.Minute // after which an API that does not answer is given up
)

func campaignsWatch(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "watch ID", Short: "Watch a campaign until it has ended", Args: cobra.MatchAll(cobra.ExactArgs(1), campaignIDs),
		Long: `Watches a campaign until it has ended; exits with 0 when it is done and with 1 when it was stopped, failed
or needs a human. Restarts of the API do not matter. Ctrl-C ends the watching, not the campaign.`,
		Example: "  lastcall campaigns watch 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			return o.follow(cmd.Context(), c, args[0])
		},
	}
}

// follow watches a campaign, prints it when it has ended, and returns an error when it did not end well.
func (o *output) follow(ctx context.Context, c *apiClient, id string) error {
	view := o.campaignProgress()
	last, err := watch(ctx, c, id, view, watchSilence)
	view.end()
	if last == nil {
		return err
	}
	if err == nil {
		err = verdict(*last)
	}
	return errors.Join(o.campaign(*last), err)
}

// watch shows a campaign until there is nothing more to wait for, and returns it as it was last seen, nil
// if it never was. It gives up an API that says nothing for as long as patience.
func watch(ctx context.Context, c *apiClient, id string, view campaignView, patience time.Duration) (last *api.Campaign, err error) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	heard := time.Now()
	silent := false
	for {
		var now api.Campaign
		err := c.get(ctx, "/campaigns/"+id, nil, &now)
		switch {
		case ctx.Err() != nil:
			return last, fmt.Errorf("no longer watching; the campaign goes on: lastcall campaigns watch %s", id)
		case err == nil:
			if silent {
				view.say("the API is back")
			}
			last, heard, silent = &now, time.Now(), false
			view.show(now)
			if over(now) {
				return last, nil
			}
		case !passing(err):
			return last, err
		case time.Since(heard) > patience:
			return last, fmt.Errorf("gave up after %s of silence; the campaign may go on: %w", patience, err)
		case !silent:
			silent = true
			view.say(err.Error() + "; still trying")
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// passing reports whether an error may be gone with the next call: the API restarts, or its database does.
func passing(err error) bool {
	if _, ok := errors.AsType[unreachable](err); ok {
		return true
	}
	p, ok := errors.AsType[*api.Problem](err)
	return ok && p.Status >= http.StatusInternalServerError
}

// over reports whether watching has come to its end: nothing will change, or not by itself.
func over(c api.Campaign) bool {
	return c.Status.Ended() || c.Status == campaign.Draft || c.NeedsHuman != ""
}

// verdict is the error for a campaign that did not end well.
func verdict(c api.Campaign) error {
	switch {
	case c.Status == campaign.Done:
		return nil
	case c.Status == campaign.Draft:
		return fmt.Errorf("the campaign has not been started: lastcall campaigns start %s", c.CampaignID)
	case c.NeedsHuman != "":
		return fmt.Errorf("the campaign is %s and needs a human: %s", c.Status, c.NeedsHuman)
	}
	return fmt.Errorf("the campaign is %s", c.Status)
}
