package worker

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"

	"waggle/chat"
	"waggle/jobs"
)

// queue is the asynq queue of all tasks.
const queue = "waggle"

// The types of tasks. A task says "look"; what is to be done is a fact in SQL. Tasks have no TaskID (a fixed one blocks its
// successors while active and for ever once archived), are not retried and never return an error: the next tick or sweep is
// the retry.
const (
	taskLook      = "look"
	taskSaveAfk   = "tick:save_afk_chats"
	taskCloseOld  = "tick:close_old_chats"
	taskPermanent = "tick:permanent"
)

// lookPayload and tickPayload are the bodies of tasks.
type lookPayload struct {
	At          jobs.LookAt `json:"at"`
	Environment uuid.UUID   `json:"environment"`
}

type tickPayload struct {
	Process uuid.UUID `json:"process"` // the instance; zero for the permanent tick
}

func newTask(kind string, payload any, timeout time.Duration) *asynq.Task {
	body, err := json.Marshal(payload)
	if err != nil {
		panic(err) // two fields of plain types
	}
	return asynq.NewTask(kind, body, asynq.Queue(queue), asynq.MaxRetry(0), asynq.Timeout(timeout))
}

func lookTask(l jobs.Look) *asynq.Task {
	return newTask(taskLook, lookPayload(l), time.Minute)
}

func lookOf(payload []byte) (jobs.Look, error) {
	var p lookPayload
	err := json.Unmarshal(payload, &p)
	return jobs.Look(p), err
}

func processTask(name chat.ProcessName, id uuid.UUID) *asynq.Task {
	kind := taskSaveAfk
	if name == chat.CloseOldChats {
		kind = taskCloseOld
	}
	return newTask(kind, tickPayload{Process: id}, 5*time.Minute)
}

func permanentTask() *asynq.Task { return newTask(taskPermanent, tickPayload{}, 5*time.Minute) }

// processOf returns the instance a tick's payload names; zero if it names none.
func processOf(payload []byte) uuid.UUID {
	var p tickPayload
	if json.Unmarshal(payload, &p) != nil {
		return uuid.Nil
	}
	return p.Process
}
