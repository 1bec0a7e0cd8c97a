// The worker: a transaction a job.
import { Worker } from 'bullmq'
import { connect as connectRedis } from './redis.js'
import { connect as connectDatabase } from './statements.js'

const concurrency = 100

const database = connectDatabase()
const worker = new Worker('revoke', (job) => database.carryOut(job.data.id), { connection: connectRedis(), concurrency })
worker.on('error', (err) => console.error(err))
