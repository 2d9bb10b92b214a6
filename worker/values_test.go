package worker_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain/audience"
	"lastcall/domain/campaign"
	"lastcall/store"
)

// What holds for everybody is said to everybody, whatever the audience was read with.
func TestAValueChangedAfterTheImportIsSent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	invite, err := b.NewestTemplate(t.Context(), "event_invite")
	require.NoError(t, err)
	c, err := b.CreateCampaign(t.Context(), store.NewCampaign{Name: "Jazz", TemplateID: invite.ID, Variables: map[string]string{"event": "Jaz", "day": "Friday"}})
	require.NoError(t, err)
	r, err := audience.NewReader(strings.NewReader("msisdn,name\n"+rw(1)+",Amina\n"), audience.Options{Variables: invite.Variables, Fixed: c.Variables})
	require.NoError(t, err)
	_, err = b.Import(t.Context(), c.ID, r)
	require.NoError(t, err)
	require.NoError(t, b.ChangeCampaign(t.Context(), c.ID, store.CampaignChange{Variables: map[string]string{"event": "Jazz on the roof", "day": "Friday"}}))
	b.start(t, c.ID)
	require.Equal(t, campaign.Done, b.until(t, c.ID, time.Minute, ended).Status)

	res, err := http.Get(b.provider.URL + "/inbox.json")
	require.NoError(t, err)
	defer func() { require.NoError(t, res.Body.Close()) }()
	var all []struct{ Parameters []struct{ Name, Text string } }
	require.NoError(t, json.NewDecoder(res.Body).Decode(&all))
	require.Len(t, all, 1)
	said := map[string]string{}
	for _, p := range all[0].Parameters {
		said[p.Name] = p.Text
	}
	require.Equal(t, map[string]string{"name": "Amina", "event": "Jazz on the roof", "day": "Friday"}, said)
}
