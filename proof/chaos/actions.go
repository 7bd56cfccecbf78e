package main

// action is a kind of what people do at Waggle.
type action string

// What agents do.
const (
	acceptsWaiting   action = "agent accepts a waiting chat"
	acceptsGiven     action = "agent accepts a chat he was given"
	replies          action = "agent replies"
	sendsPicture     action = "agent uploads a picture"
	holds            action = "agent puts a chat on hold"
	unholds          action = "agent takes a chat off hold"
	transfersToAgent action = "agent transfers a chat to a colleague"
	transfersToQueue action = "agent transfers a chat to a queue"
	closesChat       action = "agent closes a chat"
	reopensChat      action = "agent reopens a chat"
	goesAway         action = "agent becomes inactive"
	comesBack        action = "agent becomes active"
)

// What the administrator does.
const (
	setsTransfers      action = "administrator sets SaveAfkChats"
	setsCloses         action = "administrator sets CloseOldChats"
	setsAcceptTimeout  action = "administrator sets the accept timeout"
	changesRule        action = "administrator changes a routing rule"
	switchesOff        action = "administrator switches an agent off"
	pressesFinish      action = "administrator presses Finish"
	pressesSynchronize action = "administrator presses Synchronize"
	letsMinutePass     action = "a minute passes"
)

// everyAction is what must have succeeded in a run that shows anything about it: what is always refused is never tested.
var everyAction = []action{
	acceptsWaiting, acceptsGiven, replies, sendsPicture, holds, unholds, transfersToAgent, transfersToQueue, closesChat, reopensChat, goesAway, comesBack,
	setsTransfers, setsCloses, setsAcceptTimeout, changesRule, switchesOff, pressesFinish, pressesSynchronize, letsMinutePass,
}

// did counts an action and whether it succeeded, and returns its error.
func (w *world) did(a action, err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.actions.add(string(a), 1, 0)
	} else {
		w.actions.add(string(a), 1, 1)
	}
	return err
}

// succeeded tells whether an action has, at least once.
func (w *world) succeeded(a action) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.actions[string(a)].took > 0
}
