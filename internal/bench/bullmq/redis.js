import { Redis } from 'ioredis'

// Commands that are sent in one turn of the event loop go out together.
export function connect () {
  return new Redis(process.env.REDIS_URL, { maxRetriesPerRequest: null, enableAutoPipelining: true })
}
