package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/chat"
)

func minutes(n int) time.Duration { return time.Duration(n) * time.Minute }

// startProcess starts an instance; it is due at once. revision is that of the wizard that starts it, 0 for the left panel.
func (s *Store) startProcess(ctx context.Context, tx bun.Tx, environment uuid.UUID, name chat.ProcessName, revision int) (Process, error) {
	now, err := s.now(ctx, tx)
	if err != nil {
		return Process{}, err
	}
	p := Process{
		ID: newID(), EnvironmentID: environment, Name: name, State: ProcessRunning, Revision: revision,
		StartedAt: At(now), NextRunAt: At(now),
	}
	if _, err := tx.NewInsert().Model(&p).Exec(ctx); err != nil {
		return Process{}, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// on says which processes an environment's switches ask for.
func (e *Environment) on(name chat.ProcessName) bool {
	return name == chat.SaveAfkChats && e.TransferOn || name == chat.CloseOldChats && e.CloseOn
}

// ensureProcesses starts an instance of every process that is switched on and of which none runs (b26). The environment is
// locked, so that two savings start one.
func (s *Store) ensureProcesses(ctx context.Context, tx bun.Tx, e *Environment) ([]Process, error) {
	running, err := runningCounts(ctx, tx, e.ID)
	if err != nil {
		return nil, err
	}
	var started []Process
	for _, name := range chat.Processes {
		if !e.on(name) || running[name] > 0 {
			continue
		}
		p, err := s.startProcess(ctx, tx, e.ID, name, 0)
		if err != nil {
			return nil, err
		}
		started = append(started, p)
	}
	return started, nil
}

// RunningCounts says how many instances of each process run in the environment.
func (s *Store) RunningCounts(ctx context.Context, environment uuid.UUID) (map[chat.ProcessName]int, error) {
	return runningCounts(ctx, s.read, environment)
}

func runningCounts(ctx context.Context, db bun.IDB, environment uuid.UUID) (map[chat.ProcessName]int, error) {
	var rows []struct {
		Name chat.ProcessName
		N    int
	}
	err := db.NewSelect().Model((*Process)(nil)).Column("name").ColumnExpr("count(*) AS n").
		Where("environment_id = ?", environment).Where("state = ?", ProcessRunning).
		Group("name").Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("count the running processes: %w", err)
	}
	counts := map[chat.ProcessName]int{}
	for _, r := range rows {
		counts[r.Name] = r.N
	}
	return counts, nil
}

// cancelRunning cancels every running instance of a process and returns them. An action in mid-run holds its instance's row:
// this waits for it, and the next one finds the instance cancelled.
func (s *Store) cancelRunning(ctx context.Context, tx bun.Tx, environment uuid.UUID, name chat.ProcessName) ([]Process, error) {
	running := tx.NewSelect().Model((*Process)(nil)).Where("environment_id = ?", environment).Where("name = ?", name).Where("state = ?", ProcessRunning)
	if err := s.d.lockInOrder(ctx, tx, running); err != nil {
		return nil, fmt.Errorf("cancel %s: %w", name, err)
	}
	// Read after the wait: no action carries a later time than its instance's end.
	now, err := s.now(ctx, tx)
	if err != nil {
		return nil, err
	}
	var cancelled []Process
	_, err = tx.NewUpdate().Model(&cancelled).
		Set("state = ?", ProcessCanceled).Set("canceled_at = ?", At(now)).Set("next_run_at = NULL").
		Where("environment_id = ?", environment).Where("name = ?", name).Where("state = ?", ProcessRunning).
		Returning("*").Exec(ctx)
	if err != nil {
		return nil, fmt.Errorf("cancel %s: %w", name, err)
	}
	return cancelled, nil
}

// CancelProcess cancels one instance. Cancelling twice is once; now says whether it was this call that did it.
func (s *Store) CancelProcess(ctx context.Context, environment, id uuid.UUID) (p Process, now bool, err error) {
	err = s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		p, now = Process{}, false
		q := tx.NewSelect().Model(&p).Where("id = ?", id).Where("environment_id = ?", environment)
		if err := s.d.forUpdate(q).Scan(ctx); err != nil {
			return one(err, "process")
		}
		if p.State != ProcessRunning {
			return nil
		}
		at, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		_, err = tx.NewUpdate().Model(&p).WherePK().Where("environment_id = ?", environment).
			Set("state = ?", ProcessCanceled).Set("canceled_at = ?", At(at)).Set("next_run_at = NULL").
			Returning("*").Exec(ctx)
		now = true
		return err
	})
	return p, now, err
}

// lockRunning locks an instance's row for the rest of a transaction and reports whether it still runs. Every action done in an
// instance's name begins with it: a cancelled instance has no effect any more.
func (s *Store) lockRunning(ctx context.Context, tx bun.Tx, environment, id uuid.UUID) (bool, error) {
	var state string
	q := tx.NewSelect().Model((*Process)(nil)).Column("state").Where("id = ?", id).Where("environment_id = ?", environment)
	if err := s.d.forUpdate(q).Scan(ctx, &state); err != nil {
		return false, one(err, "process")
	}
	return state == ProcessRunning, nil
}

// RunningProcesses lists the running instances of all environments: what a tick has to run.
func (s *Store) RunningProcesses(ctx context.Context) ([]Process, error) {
	var ps []Process
	err := s.read.NewSelect().Model(&ps).Where("state = ?", ProcessRunning).OrderExpr("environment_id, id").Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the running processes: %w", err)
	}
	return ps, nil
}

// RunningProcess returns an instance of any environment if it is of this name and still runs; otherwise ErrNotFound.
func (s *Store) RunningProcess(ctx context.Context, id uuid.UUID, name chat.ProcessName) (Process, error) {
	var p Process
	err := s.read.NewSelect().Model(&p).Where("p.id = ?", id).Where("p.name = ?", name).Where("p.state = ?", ProcessRunning).Scan(ctx)
	return p, one(err, "running process "+id.String())
}

// ProcessRan records a run of an instance: what it changed, why it failed (empty: it did not), and that it runs again after
// every. A cancelled instance stays as it was.
func (s *Store) ProcessRan(ctx context.Context, environment, id uuid.UUID, affected int, failure string, every time.Duration) error {
	return s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		_, err = tx.NewUpdate().Model((*Process)(nil)).
			Set("runs = runs + 1").
			Set("affected = affected + ?", affected).
			Set("last_error = ?", failure).
			Set("last_run_at = ?", At(now)).
			Set("next_run_at = ?", At(now.Add(every))).
			Where("id = ?", id).Where("environment_id = ?", environment).Where("state = ?", ProcessRunning).Exec(ctx)
		if err != nil {
			return fmt.Errorf("record a run of process %s: %w", id, err)
		}
		return nil
	})
}

// Process returns one instance of the environment.
func (s *Store) Process(ctx context.Context, environment, id uuid.UUID) (Process, error) {
	var p Process
	err := s.read.NewSelect().Model(&p).Where("id = ?", id).Where("environment_id = ?", environment).Scan(ctx)
	return p, one(err, "process")
}

// Processes lists the environment's instances, newest first: only those of name and in state, where these are given. The
// second result is the cursor of the next page.
func (s *Store) Processes(ctx context.Context, environment uuid.UUID, name chat.ProcessName, state string, p Page) ([]Process, string, error) {
	var ps []Process
	q, err := newestFirst(s.read.NewSelect().Model(&ps).Where("environment_id = ?", environment), p)
	if err != nil {
		return nil, "", err
	}
	if name != "" {
		q = q.Where("name = ?", name)
	}
	if state != "" {
		q = q.Where("state = ?", state)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, "", fmt.Errorf("list the processes: %w", err)
	}
	ps, next := cutNewest(ps, p, func(p Process) uuid.UUID { return p.ID })
	return ps, next, nil
}
