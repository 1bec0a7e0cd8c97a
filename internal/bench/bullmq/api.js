// The API: a row and a job a request.
import { randomBytes } from 'node:crypto'
import Fastify from 'fastify'
import { Queue } from 'bullmq'
import { connect as connectRedis } from './redis.js'
import { connect as connectDatabase } from './statements.js'

const messages = {
  PENDING: 'The revocation is queued.',
  REVOKED: 'Invite Revoked successfully.',
  NOT_ALLOWED: 'Invite was sent before the latest plan change',
  ALREADY_REVOKED: 'The invite has already been revoked.',
  NOT_FOUND: 'No such invite in this account.'
}

const database = connectDatabase()
const queue = new Queue('revoke', {
  connection: connectRedis(),
  defaultJobOptions: { attempts: 10, removeOnComplete: true, backoff: { type: 'exponential', delay: 2000 } }
})

// A UUID of version 7, as the other contenders have them: the table's key grows at its end.
function newID () {
  const bytes = randomBytes(16)
  bytes.writeUIntBE(Date.now(), 0, 6)
  bytes[6] = (bytes[6] & 0x0f) | 0x70
  bytes[8] = (bytes[8] & 0x3f) | 0x80
  const hex = bytes.toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

const revocation = {
  type: 'object',
  properties: {
    status: { type: 'string' },
    message: { type: 'string' },
    id: { type: 'string' },
    report_id: { type: 'integer' },
    notify_candidate: { type: 'boolean' },
    final: { type: 'boolean' },
    attempts: { type: 'integer' },
    timestamp: { type: 'string' },
    completed_at: { type: 'string', nullable: true }
  }
}

const request = {
  type: 'object',
  required: ['report_id'],
  additionalProperties: false,
  properties: { report_id: { type: 'integer', minimum: 1 }, notify_candidate: { type: 'boolean', default: false } }
}

const app = Fastify({ logger: false })

app.get('/healthz', async () => ({}))

app.post('/assessments/invite/revoke', { schema: { body: request, response: { 202: revocation } } }, async (req, reply) => {
  const { report_id: reportID, notify_candidate: notify } = req.body
  const id = newID()
  await database.submit(id, reportID, notify)
  await queue.add('revoke', { id })
  reply.code(202).header('Location', `/revocations/${id}`)
  return {
    status: 'PENDING', message: messages.PENDING, id, report_id: reportID, notify_candidate: notify, final: false, attempts: 0, completed_at: null
  }
})

app.get('/revocations/:id', { schema: { response: { 200: revocation } } }, async (req, reply) => {
  const row = await database.read(req.params.id)
  if (!row) return reply.callNotFound()
  const { notify, completed_at: completedAt, timestamp, ...rest } = row
  return {
    ...rest,
    id: req.params.id,
    message: messages[row.status],
    notify_candidate: notify,
    final: completedAt !== null,
    completed_at: completedAt && completedAt.toISOString(),
    ...(timestamp && { timestamp })
  }
})

const [host, port] = process.env.HTTP_ADDR.split(':')
await app.listen({ host, port: Number(port) })
