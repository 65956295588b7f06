import { statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import puppeteer from 'puppeteer-core'
import t from 'tap'
import { startDaemon, without } from './support/daemon.ts'

const chromium = '/usr/bin/chromium'
const skip = without(['chromium', 'chromium'])
const screenshot = join(tmpdir(), 'deapd-page.png')

t.test(
  'the page in Chromium: a question, an answer, its joules and live watts',
  { skip, timeout: 120_000 },
  async (t) => {
    const daemon = await startDaemon(t)
    const browser = await puppeteer.launch({
      executablePath: chromium,
      args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'],
    })
    t.teardown(() => browser.close())
    const page = await browser.newPage()
    await page.setViewport({ width: 1280, height: 800 })
    const requests: string[] = []
    const faults: string[] = []
    page.on('request', (request) => requests.push(request.url()))
    page.on('pageerror', (error) => faults.push(String(error)))
    page.on('console', (message) => {
      if (message.type() === 'error') faults.push(message.text())
    })

    // A browser that opens the bare address finds the page.
    await page.goto(daemon.url, { waitUntil: 'domcontentloaded' })
    t.equal(new URL(page.url()).pathname, '/ui')

    // Every figure that the page shows is kept: an answer is short, and a browser that is asked now and then may miss it.
    await page.evaluate(`{
      const watts = document.getElementById('watts')
      const keep = () => { if (/^\\d+(\\.\\d+)?$/.test(watts.textContent)) shownWatts.push(Number(watts.textContent)) }
      globalThis.shownWatts = []
      new MutationObserver(keep).observe(watts, { childList: true, characterData: true, subtree: true })
      keep()
    }`)
    await page.waitForFunction('shownWatts.length > 0')
    t.match(await page.$eval('#budget', (output) => output.textContent), '50')
    t.equal(await page.$eval('#simulated', (badge) => (badge as unknown as { hidden: boolean }).hidden), false)

    const sample = await page.waitForSelector('#samples button')
    const question = await sample?.evaluate((button) => button.textContent)
    await sample?.click()
    await page.waitForSelector('.turn.assistant .bill')
    await page.waitForFunction('Math.max(...shownWatts) - Math.min(...shownWatts) > 5')
    t.equal(await page.$eval('.turn.user .text', (text) => text.textContent), question)
    const answer = await page.$eval('.turn.assistant .text', (text) => text.textContent)
    t.ok(String(answer).length > 0, `"${question}" is answered with "${answer}"`)
    t.match(await page.$eval('.turn.assistant .bill', (bill) => bill.textContent), /\d J.*simulated.*tokens.*level/)

    await page.locator('#budget-watts').fill('32')
    await page.click('#budget-form button[type=submit]')
    await page.waitForFunction("document.getElementById('budget').textContent === '32'")
    t.equal((await daemon.power()).power.budget_watts, 32)
    await page.waitForFunction(
      "[...document.querySelectorAll('#decisions .what')].some((what) => what.textContent.includes('budget 50 → 32 W'))",
    )

    await page.screenshot({ path: screenshot })
    t.ok(statSync(screenshot).size > 10_000, screenshot)
    const strangers = requests.filter((url) => new URL(url).hostname !== '127.0.0.1')
    t.same(strangers, [], 'no request leaves this machine')
    t.same(faults, [], 'nothing on the console')
  },
)
