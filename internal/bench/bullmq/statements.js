// The statements that all contenders share.
import { readFileSync } from 'node:fs'
import pg from 'pg'

const statement = (name) => readFileSync(`${process.env.STATEMENTS}/${name}.sql`, 'utf8')

// Named, they are prepared once a connection.
const submit = { name: 'submit', text: statement('submit') }
const carryOut = { name: 'carry_out', text: statement('carry_out') }
const read = { name: 'read', text: statement('read') }

const account = 'bench'
const connections = 32

pg.types.setTypeParser(pg.types.builtins.INT8, Number)

export function connect () {
  const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: connections, min: connections })
  return {
    submit: (id, reportID, notify) => pool.query({ ...submit, values: [account, id, reportID, notify] }),
    carryOut: (id) => pool.query({ ...carryOut, values: [account, id] }),
    read: async (id) => (await pool.query({ ...read, values: [account, id] })).rows[0]
  }
}
