package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// openRedis connects to Redis, or starts one in this process where no URL is set. Redis is not asked to be there: it
// carries hints only, and work goes on by sweeps while it is away.
func openRedis(ctx context.Context, url string, log *slog.Logger) (*redis.Client, func(), error) {
	if url == "" {
		return embeddedRedis()
	}
	o, err := redis.ParseURL(url)
	if err != nil {
		return nil, nil, errors.New("REDIS_URL is not a valid redis:// URL")
	}
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = 2*time.Second, 3*time.Second, 3*time.Second
	c := redis.NewClient(o)
	checkRedis(ctx, c, log)
	return c, func() { _ = c.Close() }, nil
}

// checkRedis warns where Redis cannot be used, or may throw tasks away. Fail open: a lost task costs latency, and some hosts
// forbid CONFIG.
func checkRedis(ctx context.Context, c *redis.Client, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if err := c.Ping(ctx).Err(); err != nil {
		log.Error("Redis cannot be used, and work waits for the next sweep; correct REDIS_URL (rediss:// for TLS, redis://:password@host), or Redis itself",
			"error", err)
		return
	}
	v, err := c.ConfigGet(ctx, "maxmemory-policy").Result()
	if err != nil {
		log.Warn("could not read Redis' eviction policy; it should be noeviction", "error", err)
		return
	}
	if p := v["maxmemory-policy"]; p != "" && p != "noeviction" {
		log.Warn("Redis evicts keys: background work will often wait for the next sweep. Set maxmemory-policy noeviction", "policy", p)
	}
}

func embeddedRedis() (*redis.Client, func(), error) {
	m := miniredis.NewMiniRedis()
	if err := m.StartAddr("127.0.0.1:0"); err != nil {
		return nil, nil, fmt.Errorf("start the in-process Redis: %w", err)
	}
	done := make(chan struct{})
	// miniredis never expires keys by itself.
	go func() {
		const step = time.Second
		t := time.NewTicker(step)
		defer t.Stop()
		for {
			select {
			case <-done:
				return
			case <-t.C:
				m.FastForward(step)
			}
		}
	}()
	c := redis.NewClient(&redis.Options{Addr: m.Addr()})
	return c, func() { _ = c.Close(); close(done); m.Close() }, nil
}
