package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"waggle/api/client"
	"waggle/api/gen"
)

const routings = 5 // a figure is their median

// routing returns the median time in ms from an agent's becoming active to the moment when 100 waiting chats have an agent.
func (c *crowd) routing(ctx context.Context) (float64, error) {
	agent := c.town.Staff()[0]
	path := "/api/v1/agents/" + agent.String() + "/status"
	var took []float64
	for range routings {
		// No agent is active while they are made: routing has not looked at them.
		if err := c.exec(ctx, "UPDATE agents SET status = 'inactive'", c.waiting(dueAtOnce), "UPDATE agents SET status = 'active' WHERE id <> '"+agent.String()+"'"); err != nil {
			return 0, err
		}
		began := time.Now()
		err := c.town.Agent(agent).Call(ctx, http.MethodPatch, path, gen.AgentStatusInput{Status: gen.AgentStatusActive}, nil)
		if err != nil {
			return 0, err
		}
		err = client.Until(ctx, "every waiting chat has an agent", func() (bool, error) {
			n, err := c.in.Database.Int(ctx, "SELECT count(*) FROM chats WHERE closed_at IS NULL AND agent_id IS NULL AND held_reason IS NULL")
			return n == 0, err
		})
		if err != nil {
			return 0, err
		}
		took = append(took, ms(time.Since(began)))
	}
	return quantile(took, 0.5), nil
}

// waiting is SQL that takes n chats from their agents.
func (c *crowd) waiting(n int) string {
	return fmt.Sprintf(`UPDATE chats SET agent_id = NULL, assigned_at = NULL, accepted_at = NULL, agent_due_since = NULL, closing_since = NULL
		WHERE id IN (SELECT id FROM chats WHERE id > %s AND closed_at IS NULL ORDER BY id LIMIT %d)`, c.anywhere(), n)
}
