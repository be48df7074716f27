// What a client of MQTT.js asks of a server. Arguments: scheme, port, version, authority, user, password.
'use strict'

const assert = require('node:assert/strict')
const { readFileSync } = require('node:fs')
const mqtt = require('mqtt')

const [scheme, port, version, authority, user, password] = process.argv.slice(2)
const v5 = version === '5.0'
const patience = 30_000

/** The promise, or a failure that says what did not come. */
function soon (what, promise) {
  let timer
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what}`)), patience)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

/** A client whose messages come out of a queue. */
class Client {
  static async connect (name, options = {}) {
    const { expiry, ...rest } = options
    const settings = {
      clientId: `js-${scheme}-${version}-${name}`,
      protocolVersion: v5 ? 5 : 4,
      reconnectPeriod: 0,
      keepalive: 20,
      ...rest
    }
    if (scheme === 'mqtts' || scheme === 'wss') settings.ca = readFileSync(authority)
    if (v5 && expiry) settings.properties = { sessionExpiryInterval: expiry }
    const client = new Client()
    client.messages = []
    client.waiting = []
    client.mqtt = mqtt.connect(`${scheme}://localhost:${port}/mqtt`, settings)
    client.mqtt.on('message', (topic, payload, packet) => {
      const take = client.waiting.shift()
      take ? take(packet) : client.messages.push(packet)
    })
    client.connack = await soon('CONNACK', new Promise((resolve, reject) => {
      client.mqtt.once('connect', resolve)
      client.mqtt.once('error', reject)
    }))
    client.mqtt.on('error', () => {})
    return client
  }

  next () {
    if (this.messages.length > 0) return Promise.resolve(this.messages.shift())
    return soon('message', new Promise(resolve => this.waiting.push(resolve)))
  }

  async subscribe (topic, options) {
    const granted = await soon('SUBACK', this.mqtt.subscribeAsync(topic, options))
    return granted.map(({ qos }) => qos)
  }

  publish (topic, payload, options = {}) {
    return soon('acknowledgement', this.mqtt.publishAsync(topic, payload, options))
  }

  leave () {
    return soon('end', this.mqtt.endAsync())
  }
}

const topic = name => `js/${scheme}/${version}/${name}`

const stories = {
  async every_quality_of_service_arrives () {
    const [alice, bob] = [await Client.connect('alice'), await Client.connect('bob')]
    for (const qos of [0, 1, 2]) {
      assert.deepEqual(await bob.subscribe(topic(`qos/${qos}`), { qos }), [qos])
      await alice.publish(topic(`qos/${qos}`), `at ${qos}`, { qos })
      const message = await bob.next()
      assert.deepEqual([message.qos, message.payload.toString(), message.retain], [qos, `at ${qos}`, false])
    }
    await bob.mqtt.unsubscribeAsync(topic('qos/0'))
    await alice.publish(topic('qos/0'), 'nobody is there')
    await alice.publish(topic('qos/1'), 'the end', { qos: 1 })
    assert.equal((await bob.next()).payload.toString(), 'the end')
    await Promise.all([alice.leave(), bob.leave()])
  },

  async many_messages_arrive_in_their_order () {
    const [alice, bob] = [await Client.connect('alice'), await Client.connect('bob')]
    for (const qos of [1, 2]) {
      await bob.subscribe(topic(`many/${qos}`), { qos })
      const sent = []
      for (let number = 0; number < 500; number++) sent.push(alice.publish(topic(`many/${qos}`), `${number}`, { qos }))
      for (let number = 0; number < 500; number++) assert.equal((await bob.next()).payload.toString(), `${number}`)
      await Promise.all(sent)
    }
    await Promise.all([alice.leave(), bob.leave()])
  },

  async a_large_message_arrives_unchanged () {
    const [alice, bob] = [await Client.connect('alice'), await Client.connect('bob')]
    await bob.subscribe(topic('large'), { qos: 1 })
    const payload = Buffer.from(Uint8Array.from({ length: 1_000_003 }, (_, index) => index * 7))
    await alice.publish(topic('large'), payload, { qos: 1 })
    assert.ok((await bob.next()).payload.equals(payload))
    await Promise.all([alice.leave(), bob.leave()])
  },

  async a_retained_message_waits_for_its_subscriber () {
    const [alice, bob] = [await Client.connect('alice'), await Client.connect('bob')]
    await alice.publish(topic('retained'), 'kept', { qos: 1, retain: true })
    await bob.subscribe(topic('retained'), { qos: 1 })
    const message = await bob.next()
    assert.deepEqual([message.payload.toString(), message.retain], ['kept', true])
    await alice.publish(topic('retained'), '', { qos: 1, retain: true })
    assert.equal((await bob.next()).retain, false)
    const carol = await Client.connect('carol')
    await carol.subscribe(topic('retained'), { qos: 1 })
    await alice.publish(topic('retained'), 'new', { qos: 1 })
    assert.equal((await carol.next()).payload.toString(), 'new')
    await Promise.all([alice.leave(), bob.leave(), carol.leave()])
  },

  async the_will_of_a_broken_connection_is_published () {
    const watcher = await Client.connect('watcher')
    await watcher.subscribe(topic('will'), { qos: 1 })
    const will = { topic: topic('will'), payload: Buffer.from('gone'), qos: 1, retain: false }
    const victim = await Client.connect('victim', { will })
    victim.mqtt.stream.destroy()
    const message = await watcher.next()
    assert.deepEqual([message.payload.toString(), message.qos], ['gone', 1])
    await (await Client.connect('leaver', { will })).leave()
    await watcher.publish(topic('will'), 'the end', { qos: 1 })
    assert.equal((await watcher.next()).payload.toString(), 'the end')
    await watcher.leave()
  },

  async a_session_keeps_what_its_client_missed () {
    const durable = { clean: false, expiry: 3600 }
    let bob = await Client.connect('keeper', durable)
    await bob.subscribe(topic('session'), { qos: 1 })
    await bob.leave()
    const alice = await Client.connect('alice')
    for (const number of ['0', '1', '2']) await alice.publish(topic('session'), number, { qos: 1 })
    bob = await Client.connect('keeper', durable)
    assert.equal(bob.connack.sessionPresent, true)
    for (const number of ['0', '1', '2']) assert.equal((await bob.next()).payload.toString(), number)
    await bob.leave()
    bob = await Client.connect('keeper', { clean: true })
    assert.equal(bob.connack.sessionPresent, false)
    await Promise.all([alice.leave(), bob.leave()])
  },

  async a_password_is_asked_for () {
    await (await Client.connect('login', { username: user, password })).leave()
    await assert.rejects(Client.connect('login', { username: user, password: 'wrong' }), { code: v5 ? 0x86 : 4 })
  },

  async a_second_connection_takes_over () {
    const first = await Client.connect('twin')
    const told = v5 ? new Promise(resolve => first.mqtt.once('disconnect', resolve)) : undefined
    const ended = new Promise(resolve => first.mqtt.once('close', resolve))
    const second = await Client.connect('twin')
    await soon('end', ended)
    if (v5) assert.equal((await soon('DISCONNECT', told)).reasonCode, 0x8E)
    await second.leave()
  },

  async an_empty_client_identifier_gets_one () {
    const nameless = await Client.connect('', { clientId: '' })
    if (v5) assert.ok(nameless.connack.properties.assignedClientIdentifier.length > 0)
    await nameless.leave()
  }
}

const storiesOf5 = {
  async properties_arrive_in_their_order () {
    const [alice, bob] = [await Client.connect('alice'), await Client.connect('bob')]
    await bob.subscribe(topic('properties'), { qos: 1, properties: { subscriptionIdentifier: 77 } })
    const sent = {
      payloadFormatIndicator: true,
      messageExpiryInterval: 600,
      contentType: 'text/plain',
      responseTopic: 're/ply',
      correlationData: Buffer.from([0, 1, 255]),
      userProperties: { b: ['2', '3'], a: '1' }
    }
    await alice.publish(topic('properties'), 'hello', { qos: 1, properties: sent })
    const { properties: got } = await bob.next()
    assert.deepEqual({ ...got.userProperties }, sent.userProperties)
    assert.deepEqual(Object.keys(got.userProperties), ['b', 'a'])
    assert.deepEqual(
      [got.payloadFormatIndicator, got.contentType, got.responseTopic, got.subscriptionIdentifier],
      [true, 'text/plain', 're/ply', 77]
    )
    assert.ok(got.correlationData.equals(sent.correlationData))
    assert.ok(got.messageExpiryInterval > 0 && got.messageExpiryInterval <= 600)
    await Promise.all([alice.leave(), bob.leave()])
  },

  async topic_aliases_stand_for_topics () {
    // Both directions: MQTT.js gives out aliases by itself, and takes as many as it announces.
    const alice = await Client.connect('alice', { autoAssignTopicAlias: true })
    const bob = await Client.connect('bob', { properties: { topicAliasMaximum: 5 } })
    await bob.subscribe(topic('alias/#'), { qos: 1 })
    for (let round = 0; round < 20; round++) {
      const name = topic(`alias/${round % 7}`)
      await alice.publish(name, `${round}`, { qos: 1 })
      const message = await bob.next()
      assert.equal(message.payload.toString(), `${round}`)
      assert.equal(message.topic.toString(), name)
    }
    await Promise.all([alice.leave(), bob.leave()])
  },

  async members_of_a_share_take_turns () {
    const alice = await Client.connect('alice')
    const members = [await Client.connect('first'), await Client.connect('second')]
    for (const member of members) await member.subscribe(`$share/group/${topic('share')}`, { qos: 1 })
    for (let number = 0; number < 10; number++) await alice.publish(topic('share'), `${number}`, { qos: 1 })
    const got = []
    for (const member of members) for (let part = 0; part < 5; part++) got.push((await member.next()).payload.toString())
    assert.deepEqual(got.sort(), ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
    await Promise.all([alice.leave(), ...members.map(member => member.leave())])
  },

  async options_of_a_subscription_hold () {
    const [alice, bob] = [await Client.connect('alice'), await Client.connect('bob')]
    await alice.publish(topic('options'), 'kept', { qos: 1, retain: true })
    await alice.subscribe(topic('options'), { qos: 1, nl: true, rap: true, rh: 2 })
    await alice.publish(topic('options'), 'own', { qos: 1 })
    await bob.publish(topic('options'), 'other', { qos: 1, retain: true })
    const message = await alice.next()
    assert.deepEqual([message.payload.toString(), message.retain], ['other', true])
    await bob.publish(topic('options'), '', { qos: 1, retain: true })
    await Promise.all([alice.leave(), bob.leave()])
  }
}

async function main () {
  const all = Object.entries(v5 ? { ...stories, ...storiesOf5 } : stories)
  for (const [name, story] of all) {
    console.log(name)
    await story()
  }
  console.log(`told ${all.length}`)
}

main().then(() => process.exit(0), error => {
  console.error(error)
  process.exit(1)
})
