package api

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLevelsOfTheLog(t *testing.T) {
	const hook = "/hooks/telegram/0190b0c4-0000-7000-8000-000000000000"
	for name, row := range map[string]struct {
		path   string
		status int
		took   time.Duration
		want   slog.Level
	}{
		"call":                       {base + "/chats", 200, time.Millisecond, slog.LevelInfo},
		"refused call":               {base + "/chats", 401, time.Millisecond, slog.LevelInfo},
		"not built":                  {base + "/chats", 501, time.Millisecond, slog.LevelInfo},
		"failed call":                {base + "/chats", 500, time.Millisecond, slog.LevelError},
		"probe":                      {"/readyz", 200, time.Hour, slog.LevelDebug},
		"failed probe":               {"/readyz", 503, time.Millisecond, slog.LevelError},
		"delivery":                   {hook, 200, time.Millisecond, slog.LevelDebug},
		"slow delivery":              {hook, 200, time.Second, slog.LevelInfo},
		"refused delivery":           {hook, 401, time.Millisecond, slog.LevelInfo},
		"delivery asked for again":   {hook, 503, time.Millisecond, slog.LevelError},
		"page that begins like that": {"/hooksandladders", 200, time.Millisecond, slog.LevelInfo},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, row.want, levelOf(row.path, row.status, row.took)) })
	}
}

func TestDeliveriesInTheLog(t *testing.T) {
	for level, lines := range map[slog.Level]int{slog.LevelInfo: 1, slog.LevelDebug: 2} {
		t.Run(level.String(), func(t *testing.T) {
			var log bytes.Buffer
			m := newMessengers(t, func(s *Server) { s.Log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: level})) })
			hook := "/hooks/custom/" + m.add(m.customChannel()).ID.String()
			log.Reset()
			body := `{"type":"message","id":"1","user":{"id":"7"},"text":"honeycomb","at":"2026-01-01T00:00:00Z"}`
			m.raw("POST", hook, "", body, "X-Confirmation-Code", "wrong").problem(401)
			m.raw("POST", hook, "", body, "X-Confirmation-Code", "a%20%22secret%22%20code%20%F0%9F%90%9D").status(200)
			require.Equal(t, lines, strings.Count(log.String(), "\n"), log.String())
			require.NotContains(t, log.String(), "honeycomb")
			if level == slog.LevelInfo {
				require.Contains(t, log.String(), `"status":401`)
				return
			}
			var line struct {
				Level, Kind    string
				Events, Stored int
			}
			require.NoError(t, json.Unmarshal([]byte(strings.Split(log.String(), "\n")[1]), &line))
			require.Equal(t, "DEBUG", line.Level)
			require.Equal(t, "custom", line.Kind)
			require.Equal(t, 1, line.Events)
			require.Equal(t, 1, line.Stored)
		})
	}
}
