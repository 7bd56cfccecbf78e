package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/chat"
)

// Errors of Authenticate, beside ErrNotFound for a token nobody has.
var (
	ErrExpired = errors.New("expired")
	ErrRevoked = errors.New("revoked")
)

// TokenKind says what a bearer is.
type TokenKind string

// The kinds of bearer.
const (
	TokenSecretKey TokenKind = "secret_key"
	TokenAPIKey    TokenKind = "api_key"
	TokenSession   TokenKind = "session"
)

// Bearer is who holds a token: its environment and, for a session, its user.
type Bearer struct {
	Kind          TokenKind `bun:"kind"`
	EnvironmentID uuid.UUID `bun:"environment_id"`
	SessionID     uuid.UUID `bun:"session_id"`
	Role          chat.Role `bun:"role"`
	AgentID       uuid.UUID `bun:"agent_id"`
	CRMUserID     string    `bun:"crm_user_id"`
	ExpiresAt     Time      `bun:"expires_at"`
	RevokedAt     Time      `bun:"revoked_at"`
	CRMURL        string    `bun:"crm_url"`     // normalised address of the environment's CRM; empty while it is not known
	HasAPIKey     bool      `bun:"has_api_key"` // the environment has an API key
	ChatsEnabled  bool      `bun:"chats_enabled"`
	Now           Time      `bun:"now_us"` // business time of the look-up
}

// Authenticate finds whose token it is: a secret key, an API key (the old one too, while both work) or a session. It is found by
// its hash. Errors: ErrNotFound, ErrExpired, ErrRevoked; with the last two the bearer is returned too.
func (s *Store) Authenticate(ctx context.Context, token string) (Bearer, error) {
	hash := hashToken(token)
	b, err := Bearer{}, ErrNotFound
	if strings.HasPrefix(token, SessionPrefix) { // most calls are: the database need not plan for all kinds
		b, err = s.bearer(ctx, s.read.NewSelect().TableExpr("(?) AS found", s.sessionBearer(hash)))
	}
	if errors.Is(err, ErrNotFound) {
		// Bun's own UnionAll puts its parts in parentheses, which SQLite does not take.
		b, err = s.bearer(ctx, s.read.NewSelect().TableExpr("(? UNION ALL ? UNION ALL ? UNION ALL ?) AS found",
			s.sessionBearer(hash), s.apiKeyBearer(hash), s.oldAPIKeyBearer(hash), s.secretKeyBearer(hash)))
	}
	if err != nil {
		return Bearer{}, err
	}
	if !b.RevokedAt.IsZero() {
		return b, fmt.Errorf("%s: %w", b.Kind, ErrRevoked)
	}
	if !b.ExpiresAt.IsZero() && !b.Now.Before(b.ExpiresAt.Time) {
		return b, fmt.Errorf("%s: %w", b.Kind, ErrExpired)
	}
	return b, nil
}

// bearer reads whom a query has found.
func (s *Store) bearer(ctx context.Context, found *bun.SelectQuery) (b Bearer, err error) {
	err = found.ColumnExpr("found.*").
		ColumnExpr("coalesce(e.crm_url, '') AS crm_url, e.chats_enabled").
		ColumnExpr("e.api_key_hash IS NOT NULL AS has_api_key").
		ColumnExpr("? + (SELECT offset_us FROM clock) AS now_us", s.d.now()).
		Join("JOIN environments AS e ON e.id = found.environment_id").
		Limit(1).Scan(ctx, &b)
	return b, one(err, "look a token up")
}

const noUser = "CAST(NULL AS uuid) AS session_id, '' AS role, CAST(NULL AS uuid) AS agent_id, '' AS crm_user_id"

// sessionBearer leaves out the sessions of agents who were deleted: their rights went with them.
func (s *Store) sessionBearer(hash []byte) *bun.SelectQuery {
	return s.read.NewSelect().TableExpr("sessions AS s").
		ColumnExpr("? AS kind, s.environment_id, s.id AS session_id, s.role, s.agent_id, s.crm_user_id, s.expires_at, s.revoked_at", TokenSession).
		Join("LEFT JOIN agents AS a ON a.id = s.agent_id").
		Where("s.hash = ?", hash).Where("a.deleted_at IS NULL")
}

func (s *Store) apiKeyBearer(hash []byte) *bun.SelectQuery {
	return s.read.NewSelect().TableExpr("environments AS e").
		ColumnExpr("? AS kind, e.id AS environment_id, "+noUser+", CAST(NULL AS bigint) AS expires_at, CAST(NULL AS bigint) AS revoked_at", TokenAPIKey).
		Where("e.api_key_hash = ?", hash)
}

func (s *Store) oldAPIKeyBearer(hash []byte) *bun.SelectQuery {
	return s.read.NewSelect().TableExpr("environments AS e").
		ColumnExpr("? AS kind, e.id AS environment_id, "+noUser+", coalesce(e.old_api_key_until, 0) AS expires_at, CAST(NULL AS bigint) AS revoked_at", TokenAPIKey).
		Where("e.old_api_key_hash = ?", hash)
}

func (s *Store) secretKeyBearer(hash []byte) *bun.SelectQuery {
	return s.read.NewSelect().TableExpr("secret_keys AS k").
		ColumnExpr("? AS kind, k.environment_id, "+noUser+", k.expires_at, k.revoked_at", TokenSecretKey).
		Where("k.hash = ?", hash)
}

// NewSession says whom a session is for. An agent is named by AgentID or by CRMUserID.
type NewSession struct {
	Role      chat.Role
	AgentID   uuid.UUID
	CRMUserID string
	Life      time.Duration
}

// OpenSession makes a session. Where the user is an agent of Waggle's, the session is that agent's. For the role agent that
// must be so, or ErrNotFound; so it is where an AgentID is given and not found. The token is returned here only.
func (s *Store) OpenSession(ctx context.Context, environment uuid.UUID, in NewSession) (token string, session Session, err error) {
	t := newToken(SessionPrefix)
	err = s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		agent, err := sessionAgent(ctx, tx, environment, in)
		if err != nil {
			return err
		}
		if agent.ID == uuid.Nil && in.Role == chat.AgentRole {
			return fmt.Errorf("find the agent: %w", ErrNotFound)
		}
		if in.CRMUserID == "" {
			in.CRMUserID = agent.CRMUserID
		}
		session = Session{
			ID: newID(), EnvironmentID: environment, Hash: t.Hash, Role: in.Role, AgentID: agent.ID, CRMUserID: in.CRMUserID,
			IssuedAt: At(now), ExpiresAt: At(now.Add(in.Life)),
		}
		_, err = tx.NewInsert().Model(&session).Exec(ctx)
		return err
	})
	if err != nil {
		return "", Session{}, fmt.Errorf("open a session: %w", err)
	}
	return t.Clear, session, nil
}

// sessionAgent finds the agent a session is for; none where the user is not an agent.
func sessionAgent(ctx context.Context, tx bun.Tx, environment uuid.UUID, in NewSession) (Agent, error) {
	if in.AgentID == uuid.Nil && in.CRMUserID == "" {
		return Agent{}, nil
	}
	var a Agent
	q := tx.NewSelect().Model(&a).Where("environment_id = ?", environment).Where("deleted_at IS NULL")
	if in.AgentID != uuid.Nil {
		q.Where("id = ?", in.AgentID)
	}
	if in.CRMUserID != "" {
		q.Where("crm_user_id = ?", in.CRMUserID)
	}
	err := q.Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) && in.AgentID == uuid.Nil {
		return Agent{}, nil
	}
	return a, one(err, "find the agent")
}

// RevokeSession ends a session at once. Revoking twice is once.
func (s *Store) RevokeSession(ctx context.Context, environment, id uuid.UUID) error {
	return s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		found, err := changed(tx.NewUpdate().Model((*Session)(nil)).Set("revoked_at = coalesce(revoked_at, ?)", At(now)).
			Where("environment_id = ?", environment).Where("id = ?", id).Exec(ctx))
		if err == nil && !found {
			err = ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("revoke session %s: %w", id, err)
		}
		return nil
	})
}

// ForgetSessions deletes the sessions of all environments that ended longer than age ago, and says how many those were.
func (s *Store) ForgetSessions(ctx context.Context, age time.Duration) (int64, error) {
	var n int64
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		r, err := tx.NewDelete().Model((*Session)(nil)).Where("expires_at < ?", At(now.Add(-age))).Exec(ctx)
		if err != nil {
			return fmt.Errorf("forget old sessions: %w", err)
		}
		n, err = r.RowsAffected()
		return err
	})
	return n, err
}

// OfferedQueues returns the queues whose waiting chats an agent may see: those he is a member of, while he is ready and has
// room; otherwise none (b17, S3.65).
func (s *Store) OfferedQueues(ctx context.Context, environment, agent uuid.UUID) (map[uuid.UUID]bool, error) {
	team, err := s.team(ctx, s.read, environment, agent)
	if err != nil || len(team) == 0 {
		return nil, err
	}
	a := team[0]
	if ready, _ := a.Ready(); !ready || a.Limit.Left(a.Load) == chat.NoRoom {
		return nil, nil
	}
	return a.Queues, nil
}

// KnowsCRMOrigin reports whether origin, such as https://crm.example.com, is that of any environment's CRM.
func (s *Store) KnowsCRMOrigin(ctx context.Context, origin string) (bool, error) {
	known, err := s.read.NewSelect().Model((*Environment)(nil)).
		Where("crm_url = ? OR substr(crm_url, 1, length(?)) = ?", origin, origin+"/", origin+"/").Exists(ctx)
	if err != nil {
		return false, fmt.Errorf("look a CRM's origin up: %w", err)
	}
	return known, nil
}
