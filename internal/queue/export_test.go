package queue

// The tests outside of the package check with asynq's keys what is in Redis.
const AsynqQueues = asynqQueues

var AsynqKey = asynqKey
