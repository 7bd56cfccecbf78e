package storetest

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestScope(t *testing.T) {
	ours := uuid.New()
	env := "'" + ours.String() + "'"
	for q, want := range map[string]bool{
		`SELECT 1`: true,
		`SELECT * FROM "chats" AS "c" WHERE (c.environment_id = ` + env + `)`:                                                          true,
		`SELECT * FROM "chats" AS "c" WHERE (c.id = '1')`:                                                                              false,
		`SELECT * FROM chats WHERE environment_id = '` + uuid.NewString() + `'`:                                                        false,
		`SELECT * FROM chats WHERE text = 'environment_id = '` + env:                                                                   false,
		`UPDATE chats SET x = 1 WHERE id IN (SELECT id FROM chats WHERE environment_id = ` + env + `)`:                                 false,
		`UPDATE chats SET x = 1 WHERE environment_id = ` + env + ` AND EXISTS (SELECT 1 FROM queues WHERE id = queue_id)`:              true,
		`SELECT * FROM (SELECT id FROM chats WHERE environment_id = ` + env + ` UNION ALL SELECT id FROM parts WHERE id = '1') AS all`: false,
		`SELECT * FROM (SELECT id FROM chats WHERE environment_id = ` + env + `) AS all`:                                               true,
		`INSERT INTO chats (id, environment_id) VALUES ('1', ` + env + `)`:                                                             true,
		`INSERT INTO chats (id, environment_id) VALUES ('1', '2')`:                                                                     false,
		`UPDATE "environments" AS "e" SET name = '' WHERE ("e"."id" = ` + env + `)`:                                                    true,
		`UPDATE "environments" AS "e" SET name = '' WHERE (crm_url = '1')`:                                                             false,
		`SELECT * FROM clock`: true,
	} {
		s := NewScope(t, nil)
		s.Check(ours, "", []string{q})
		require.Equal(t, want, len(s.found) == 0, q)
	}
}
