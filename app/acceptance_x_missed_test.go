package app_test

import (
	"database/sql"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What was written while our webhook was away is in the chat once we are back, once, and nothing is read beside the webhook
// without a reason: X takes money for it.
func TestS4_3_WhatTheWebhookMissed(t *testing.T) {
	onAnXAccount(t, nil, func(t *testing.T, p *xPlace) {
		p.talks()
		p.replies("Anna", p.chat.ID, "how can I help?")
		p.until("it was connected", func() bool { return p.server.Calls("events") > 0 })
		p.app.Invalidate()
		p.place.app.Stop()
		p.tom.Write("are you there?")
		p.account.WriteByHand(p.tom, "one moment")
		p.start()
		p.until("it is read when we begin anew", func() bool { return slices.Contains(p.texts(p.chat.ID), "one moment") })
		p.app.Revalidate()
		p.tom.Write("thanks")
		p.until("by webhook again", func() bool { return slices.Contains(p.texts(p.chat.ID), "thanks") })
		require.ElementsMatch(t, []string{"hello", "how can I help?", "are you there?", "one moment", "thanks"}, p.texts(p.chat.ID), "nothing twice")
		require.Len(t, p.chats(), 1)
		read := p.server.Calls("events")
		p.stays("not without a reason", func() bool { return p.server.Calls("events") == read })
	})
}

// A reading after a gap lists no more than the gap, however long ago the channel was connected or the last reading was: X takes
// money for each message it lists (wire/x.md §7). Nor is anything read where nothing was missed.
func TestS4_3_NoMoreThanWhatWasMissed(t *testing.T) {
	onAnXAccount(t, nil, func(t *testing.T, p *xPlace) {
		p.talks()
		p.until("it was connected", func() bool { return p.server.Calls("events") == 1 })
		for i := range 300 {
			p.tom.Wrote(time.Now().Add(-time.Hour), fmt.Sprint("long ago, ", i))
		}
		p.place.app.Stop()
		p.connectedLongAgo()
		const page = 10 // the least that is listed at once
		for i := range 3 {
			listed, calls := p.account.Listed(), p.server.Calls("events")
			text := fmt.Sprint("are you there? ", i)
			p.app.Invalidate() // so that it does not come again by itself
			p.tom.Write(text)
			p.start()
			p.until("what was written meanwhile is there", func() bool { return slices.Contains(p.texts(p.chat.ID), text) })
			require.LessOrEqual(t, p.account.Listed()-listed, page)
			p.stays("once", func() bool { return p.server.Calls("events") == calls+1 })
			p.app.Revalidate()
			p.place.app.Stop()
		}
		p.start()
		require.Equal(t, []string{"hello", "are you there? 0", "are you there? 1", "are you there? 2"}, p.texts(p.chat.ID), "nothing from before, nothing twice")
	})
}

// Where one process takes deliveries before the other ends, nothing is missed, and nothing is read.
func TestS4_3_ADeploymentWithoutABreak(t *testing.T) {
	onAnXAccount(t, nil, func(t *testing.T, p *xPlace) {
		p.talks()
		p.until("it was connected", func() bool { return p.server.Calls("events") == 1 })
		for i := range 3 {
			former, c := p.place.app, p.config
			c.Listener = p.listener() // of the same socket, like a proxy's
			p.run(c)
			former.Stop()
			text := fmt.Sprint("still there? ", i)
			p.tom.Write(text)
			p.until("it is delivered", func() bool { return slices.Contains(p.texts(p.chat.ID), text) })
		}
		p.stays("nothing is read", func() bool { return p.server.Calls("events") == 1 })
	})
}

// connectedLongAgo moves the moment when the stopped place's channels were connected.
func (p *xPlace) connectedLongAgo() {
	p.t.Helper()
	driver, address := "sqlite", p.config.DataDir+"/waggle.db"
	if p.config.DatabaseURL != "" {
		driver, address = "pg", p.config.DatabaseURL
	}
	db, err := sql.Open(driver, address)
	require.NoError(p.t, err)
	defer func() { _ = db.Close() }()
	_, err = db.ExecContext(p.t.Context(), fmt.Sprintf("UPDATE channels SET connected_at = connected_at - %d", (24*time.Hour).Microseconds()))
	require.NoError(p.t, err)
}
